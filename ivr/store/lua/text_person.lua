-- KEYS 1 texts of all, 2 to the country, 3 to the prefix, 4 times of this person's, 5 times to this number, 6 the bar between them
-- ARGV 1 to 3 texts in an hour, of each, 4 and 5 in a day, of each
if redis.call('EXISTS', KEYS[6]) == 1 then
    return {'barred'}
end
for place = 4, 5 do
    -- A sliding day: the one that stands so many places back must be older than that.
    local oldest = tonumber(redis.call('LINDEX', KEYS[place], ARGV[place] - 1))
    if oldest and oldest > now - DAY then
        return {'many'}
    end
end
-- What texts cost is limited last: whoever may have none uses nothing up.
for place, scope in ipairs({'all', 'country', 'prefix'}) do
    local closed = over(KEYS[place], ARGV[place])
    if closed then
        return {'closed', scope, closed}
    end
end
for place = 1, 3 do
    spend(KEYS[place])
end
for place = 4, 5 do
    redis.call('LPUSH', KEYS[place], string.format('%.0f', now))
    redis.call('LTRIM', KEYS[place], 0, ARGV[place] - 1)
    redis.call('PEXPIRE', KEYS[place], DAY)
end
return {'go'}
