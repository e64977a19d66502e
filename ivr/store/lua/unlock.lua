-- A customer is unlocked.
--
-- KEYS 1 the customer's failures, 2 failures of when there was no tenant in the key
-- ARGV 1 tenant: those of 2 are to be its customer's no more
local counted = redis.call('DEL', KEYS[1])
if redis.call('EXISTS', KEYS[2]) == 1 then
    counted = counted + redis.call('HSETNX', KEYS[2], 'over:' .. ARGV[1], 1)
end
return {counted}
