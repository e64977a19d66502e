-- Give a lease back, and wait for it no longer.
-- KEYS 1 lease, 2 who waits for it, 3 who waits and has no other, 4 the application's calls
-- ARGV 1 who gives, 2 "1" where it is given back also when nobody waits, 3 "1" where somebody must have it at any time
for place = 2, 3 do
    if redis.call('GET', KEYS[place]) == ARGV[1] then
        redis.call('DEL', KEYS[place])
    end
end
-- who has another one comes only where there is something to do
local waited = redis.call('EXISTS', KEYS[3]) == 1
    or (redis.call('EXISTS', KEYS[2]) == 1 and (ARGV[3] == '1' or redis.call('EXISTS', KEYS[4]) == 1))
if redis.call('GET', KEYS[1]) == ARGV[1] and (waited or ARGV[2] == '1') then
    redis.call('DEL', KEYS[1])
end
return {waited and 'waited' or 'alone'}
