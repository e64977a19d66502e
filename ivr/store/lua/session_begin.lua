-- KEYS 1 session, 2 the person's sessions (a sorted set of the tokens' hashes, by their end), 3 when all were ended last
-- ARGV 1 identifier, 2 person, 3 hash of the token, 4 idle time, 5 longest time, both in milliseconds; 6 when the sign-in began, in microseconds;
-- 7 the sign-in before, 8 milliseconds since who this is was shown, or nothing, 9 "1" where a provider has asked
local SESSION, SESSIONS = KEYS[1], KEYS[2]
local idle, most = tonumber(ARGV[4]), tonumber(ARGV[5])

-- What was shown may be what was taken away meanwhile.
local ended = tonumber(redis.call('GET', KEYS[3]))
if ended and ended >= tonumber(ARGV[6]) then
    return {'ended'}
end
local ends = string.format('%.0f', now + most)
local at = string.format('%.0f', now)
local age = tonumber(ARGV[8])
local proved = age and string.format('%.0f', now - age) or '0'
redis.call('HSET', SESSION, 'id', ARGV[1], 'person', ARGV[2], 'last', ARGV[7], 'begun', at, 'seen', at, 'until', ends,
    'proved', proved, 'elsewhere', ARGV[9])
redis.call('PEXPIRE', SESSION, math.min(idle, most))
redis.call('ZREMRANGEBYSCORE', SESSIONS, '-inf', at)
redis.call('ZADD', SESSIONS, ends, ARGV[3])
redis.call('PEXPIRE', SESSIONS, most)
return {'begun', now}
