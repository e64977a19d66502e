-- A customer is erased.
--
-- KEYS 1 the customer's failures, 2 the wish to unlock, 3 failures of when there was no tenant in the key
-- ARGV 1 failures after which only unlocking helps, 2 "1" where those of 3 are this customer's, and nobody's in another tenant
redis.call('DEL', KEYS[2])
-- `until` is there from the first lock on, until the customer is verified
local failures = (tonumber(redis.call('HGET', KEYS[1], 'n')) or 0) + (tonumber(redis.call('HGET', KEYS[3], 'n')) or 0)
if redis.call('HEXISTS', KEYS[1], 'until') + redis.call('HEXISTS', KEYS[3], 'until') > 0 or failures >= tonumber(ARGV[1]) then
    return {'kept'}
end
redis.call('DEL', KEYS[1])
if ARGV[2] == '1' then
    redis.call('DEL', KEYS[3])
end
return {'forgotten'}
