-- Give a lease back, and wait for it no longer.
-- KEYS 1 lease, 2 who waits for it, 3 who waits and has no other; ARGV 1 who gives, 2 "1" where it is given back also when nobody waits
for place = 2, 3 do
    if redis.call('GET', KEYS[place]) == ARGV[1] then
        redis.call('DEL', KEYS[place])
    end
end
local waited = redis.call('EXISTS', KEYS[2]) == 1
if redis.call('GET', KEYS[1]) == ARGV[1] and (waited or ARGV[2] == '1') then
    redis.call('DEL', KEYS[1])
end
return {waited and 'waited' or 'alone'}
