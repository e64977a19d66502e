-- KEYS 1 the code; ARGV 1 host, 2 hash of what the browser holds, 3 hash of the new token, 4 what the keys of sessions begin with
local found = redis.call('HMGET', KEYS[1], 'host', 'begun', 'session')
-- Whoever shows it wrongly has used it up as well.
redis.call('DEL', KEYS[1])
if found[1] ~= ARGV[1] then
    return {'none'}
end
local session = ARGV[4] .. found[3]
if redis.call('EXISTS', session) == 0 then
    return {'none'}
end
if found[2] ~= ARGV[2] then
    return {'others'}
end
redis.call('HSET', session, 'proxy', ARGV[3])
return {'taken', found[3]}
