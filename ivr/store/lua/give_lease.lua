-- Give a lease back, and wait for it no longer.
-- KEYS 1 lease, 2 who waits for it; ARGV 1 who gives, 2 "1" where it is given back also when nobody waits
local waits = redis.call('GET', KEYS[2])
if waits == ARGV[1] then
    redis.call('DEL', KEYS[2])
    waits = false
end
if redis.call('GET', KEYS[1]) == ARGV[1] and (waits or ARGV[2] == '1') then
    redis.call('DEL', KEYS[1])
end
return {waits and 'waited' or 'alone'}
