-- A customer is erased.
--
-- KEYS 1 the customer's failures, 2 the wish to unlock, 3 failures of when there was no tenant in the key
-- ARGV 1 failures after which only unlocking helps, 2 tenant: those of 3 are to be its customer's no more
local OVER = 'over:' .. ARGV[2]
redis.call('DEL', KEYS[2])
local old = redis.call('HMGET', KEYS[3], 'n', 'until', OVER)
local before = not old[3] and tonumber(old[1]) or 0
-- `until` is there from the first lock on, until the customer is verified
local failures = (tonumber(redis.call('HGET', KEYS[1], 'n')) or 0) + before
if redis.call('HEXISTS', KEYS[1], 'until') == 1 or (before > 0 and old[2]) or failures >= tonumber(ARGV[1]) then
    return {'kept'}
end
redis.call('DEL', KEYS[1])
if before > 0 then
    redis.call('HSET', KEYS[3], OVER, 1)
end
return {'forgotten'}
