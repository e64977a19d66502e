-- KEYS 1 record, 2 the application's calls; ARGV 1 channel, 2 holder
if redis.call('HGET', KEYS[1], 'holder') == ARGV[2] then
    redis.call('DEL', KEYS[1])
    redis.call('ZREM', KEYS[2], ARGV[1])
end
return {'done'}
