-- Take a lease, or renew it; who waits for it leaves word of that.
-- KEYS 1 lease, 2 who waits for it; ARGV 1 who asks, 2 milliseconds that either holds, 3 "1" where this one would wait
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
    if ARGV[3] == '1' then
        redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
    end
    return {'other'}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if redis.call('GET', KEYS[2]) == ARGV[1] then
    redis.call('DEL', KEYS[2])
end
return {'held'}
