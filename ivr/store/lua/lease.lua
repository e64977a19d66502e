-- Take a lease, or renew it; who waits for it leaves word of that.
-- KEYS 1 lease, 2 who waits for it, 3 who waits and has no other, 4 the application's calls
-- ARGV 1 who asks, 2 milliseconds that each holds, 3 "renew", "wait", or "spare": waits, and has another
-- 4 "1" where somebody must have it at any time
if ARGV[3] == 'spare' and redis.call('GET', KEYS[3]) == ARGV[1] then
    -- it had none when it asked before
    redis.call('DEL', KEYS[3])
end
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
    if ARGV[3] ~= 'renew' then
        redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
    end
    if ARGV[3] == 'wait' then
        redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
    end
    return {'other'}
end
if ARGV[3] == 'spare' then
    -- it is left to who has none, and to nobody where there is nothing to do
    if redis.call('EXISTS', KEYS[3]) == 1 or (ARGV[4] ~= '1' and redis.call('EXISTS', KEYS[4]) == 0) then
        return {'free'}
    end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
for place = 2, 3 do
    if redis.call('GET', KEYS[place]) == ARGV[1] then
        redis.call('DEL', KEYS[place])
    end
end
return {'held', redis.call('EXISTS', KEYS[3]), redis.call('EXISTS', KEYS[2])}
