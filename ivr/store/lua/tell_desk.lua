-- KEYS 1 whom an endpoint's phones wait for, 2 who has hung up meanwhile, 3 how this call's last verification ended
-- ARGV 1 the agent's channel, 2 how far it is, 3 its status; milliseconds: 4 that an agent waits at most, 5 that one waits behind
-- the end, 6 that a hang-up is news, 7 that an end is known; 8 where desks listen, 9 what they are told
local status = ARGV[3]
if status == 'abandoned' then
    redis.call('HDEL', KEYS[1], ARGV[1])
    redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[6])
    redis.call('DEL', KEYS[3])
else
    local ends = now + (status == '' and ARGV[4] or ARGV[5])
    redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', ends) .. ARGV[2])
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
    redis.call('DEL', KEYS[2])
    if status == 'verified' then
        redis.call('DEL', KEYS[3])
    else
        -- should the worker die in the middle of it, it came to nothing
        redis.call('SET', KEYS[3], status == '' and 'unavailable' or status, 'PX', ARGV[7])
    end
end
-- a user of Redis who may not publish: pages look by themselves, only later
local heard = redis.pcall('PUBLISH', ARGV[8], ARGV[9])
return {'told', type(heard) == 'number' and 1 or 0}
