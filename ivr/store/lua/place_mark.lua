-- KEYS 1 mark, 2 the node's marks: channels by the end of their marks, in seconds
-- ARGV 1 the mark, 2 seconds since the epoch at which it ends, 3 channel
local left = ARGV[2] * 1000 - now
if left <= 0 then
    return {'expired'}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', string.format('%.0f', left))
if redis.call('PTTL', KEYS[1]) <= 0 then
    return {'expired'}
end
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[2], string.format('%.0f', math.max(left, redis.call('PTTL', KEYS[2]))))
return {'placed', redis.call('GET', KEYS[1])}
