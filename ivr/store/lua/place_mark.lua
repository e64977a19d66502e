-- KEYS 1 to 6 as in scopes.lua; 7 mark, 8 the node's marks: channels by the end of their marks, in seconds
-- ARGV 1 to 13 as in scopes.lua; 14 the mark, 15 seconds since the epoch at which it ends, 16 channel
local MARK, MARKS = KEYS[7], KEYS[8]
local written, ends, channel = ARGV[14], ARGV[15], ARGV[16]

if lost(RECORD, HOLDER) then
    return {'taken'}
end
-- Of a call whose record is gone nobody knows any more who runs it.
if redis.call('HGET', RECORD, 'holder') ~= HOLDER then
    return {'unknown'}
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
return {'placed', redis.call('GET', MARK)}
