-- KEYS 1 session; ARGV 1 idle time in milliseconds, 2 "1" where it is used now
local SESSION, idle = KEYS[1], tonumber(ARGV[1])
local found = redis.call('HMGET', SESSION, 'id', 'person', 'last', 'begun', 'seen', 'until', 'proved', 'elsewhere')
if not found[1] then
    return {'none'}
end
local seen, left = tonumber(found[5]), tonumber(found[6]) - now
if left <= 0 or now - seen >= idle then
    redis.call('DEL', SESSION)
    return {'none'}
end
if ARGV[2] == '1' then
    seen = now
    redis.call('HSET', SESSION, 'seen', string.format('%.0f', now))
    redis.call('PEXPIRE', SESSION, math.min(idle, left))
end
return {
    'session', found[1], found[2], found[3], tonumber(found[4]), seen, tonumber(found[7]) or 0, tonumber(found[8]) or 0,
}
