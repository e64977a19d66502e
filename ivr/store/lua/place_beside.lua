-- KEYS 1 to 6 as in scopes.lua; 7 mark, 8 the node's marks: channels by the end of their marks, in seconds
-- ARGV 1 to 13 as in scopes.lua; 14 the mark, 15 seconds since the epoch at which it ends, 16 channel, 17 level, 18 whose it is,
-- 19 where desks listen, 20 what they are told
local MARK, MARKS = KEYS[7], KEYS[8]
local written, ends, channel = ARGV[14], ARGV[15], ARGV[16]

local function read(text)
    local is, found = pcall(cjson.decode, text or 'null')
    return is and type(found) == 'table' and found or nil
end

local before = redis.call('GET', MARK)
if before then
    local stands = read(before)
    if not stands or stands.subject ~= ARGV[18] or tonumber(stands.level) > tonumber(ARGV[17]) then
        return {'stands'}
    end
else
    local said = redis.call('HGET', RECORD, 'said')
    local round = read(said)
    -- whoever is being verified has no mark yet, and that round says whether there will be one
    if said and not (round and round.status ~= '') then
        return {'under_way'}
    end
end
local left = ends * 1000 - now
if left <= 0 then
    return {'expired'}
end
redis.call('SET', MARK, written, 'PX', string.format('%.0f', left))
if redis.call('PTTL', MARK) <= 0 then
    return {'expired'}
end
redis.call('ZADD', MARKS, ends, channel)
redis.call('PEXPIRE', MARKS, string.format('%.0f', math.max(left, redis.call('PTTL', MARKS))))
forgive()
redis.pcall('PUBLISH', ARGV[19], ARGV[20])
return {'placed', redis.call('GET', MARK)}
