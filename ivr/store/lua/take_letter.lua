-- KEYS 1 letter, 2 tries of this call; ARGV 1 most tries, 2 milliseconds after which they are forgotten
-- Counted before it is looked for: a hundred at once are no more than that either
local tries = redis.call('INCR', KEYS[2])
if tries == 1 then
    redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
if tries > tonumber(ARGV[1]) then
    return {'over'}
end
local found = redis.call('GET', KEYS[1])
if not found then
    return {'none'}
end
redis.call('DEL', KEYS[1])
return {'taken', found}
