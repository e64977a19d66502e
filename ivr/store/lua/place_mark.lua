-- KEYS 1 mark; ARGV 1 the mark, 2 seconds since the epoch at which it ends
local left = ARGV[2] * 1000 - now
if left <= 0 then
    return {'expired'}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', string.format('%.0f', left))
if redis.call('PTTL', KEYS[1]) <= 0 then
    return {'expired'}
end
return {'placed', redis.call('GET', KEYS[1])}
