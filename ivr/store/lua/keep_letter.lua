-- KEYS 1 letter, 2 how many of this sender have come lately; ARGV 1 what it holds, 2 milliseconds that it waits, 3 most of a sender
-- Of two with one code neither could be told from the other: the second is not taken
if redis.call('EXISTS', KEYS[1]) == 1 then
    return {'there'}
end
local count = redis.call('INCR', KEYS[2])
if count == 1 then
    redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
if count > tonumber(ARGV[3]) then
    return {'many'}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'kept'}
