-- Give a turn back, if one still has it.
-- KEYS 1 the turn. ARGV 1 who had it
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
end
return { 'done' }
