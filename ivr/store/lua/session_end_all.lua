-- KEYS 1 the person's sessions, 2 when all were ended last; ARGV 1 what the keys of sessions begin with, 2 longest time of one,
-- 3 hash of the one that stays, or nothing
local count = 0
for _, hash in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    if hash ~= ARGV[3] then
        count = count + redis.call('DEL', ARGV[1] .. hash)
        redis.call('ZREM', KEYS[1], hash)
    end
end
-- A sign-in that began before this is no longer good; none is under way for longer than a session lasts.
redis.call('SET', KEYS[2], string.format('%.0f', instant), 'PX', ARGV[2])
return {'ended', count}
