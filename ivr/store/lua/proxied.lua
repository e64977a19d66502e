-- Behind the session's own arguments: ARGV 3 hash of the token that the proxy has given for it, 4 what the keys of persons' paces begin with,
-- 5 microseconds from one request of a person to the next, 6 how many may come at once; without the last three nothing is counted
local guest = redis.call('HMGET', KEYS[1], 'proxy', 'person')
if guest[1] ~= ARGV[3] then
    return {'none'}
end
local wait = ARGV[4] and evenly(ARGV[4] .. guest[2], tonumber(ARGV[5]), tonumber(ARGV[6]))
if wait then
    return {'wait', guest[2], wait}
end
