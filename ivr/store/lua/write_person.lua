-- KEYS 1 the introduction; ARGV 1 the version that it was read at, empty where there is to be none, 2 what it is now, 3 milliseconds
-- that it is kept yet
local version = redis.call('HGET', KEYS[1], 'version') or ''
if version ~= ARGV[1] then
    return {'other'}
end
local next = string.format('%.0f', (tonumber(version) or 0) + 1)
redis.call('HSET', KEYS[1], 'version', next, 'said', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {'written'}
