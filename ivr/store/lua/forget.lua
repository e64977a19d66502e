-- A customer is erased.
--
-- KEYS 1 the customer's failures, 2 the wish to unlock; ARGV 1 failures after which only unlocking helps
redis.call('DEL', KEYS[2])
-- `until` is there from the first lock on, until the customer is verified
if redis.call('HEXISTS', KEYS[1], 'until') == 1
    or (tonumber(redis.call('HGET', KEYS[1], 'n')) or 0) >= tonumber(ARGV[1]) then
    return {'kept'}
end
redis.call('DEL', KEYS[1])
return {'forgotten'}
