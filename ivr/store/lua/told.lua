-- KEYS stops and warnings
-- ARGV 1 which of them the trail was told of
for _, key in ipairs(KEYS) do
    if redis.call('GET', key) == ARGV[1] then
        redis.call('SET', key, 'told', 'KEEPTTL')
    end
end
return {'told'}
