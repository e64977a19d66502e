-- KEYS 7 challenge
-- ARGV 14 subject, 15 channel, 16 MAC of what was keyed, 17 tries
local CHALLENGE = KEYS[7]
local subject, channel, mac, tries = ARGV[14], ARGV[15], ARGV[16], tonumber(ARGV[17])

if lost(RECORD, HOLDER) then
    return {'taken'}
end
local no = locked()
if no then
    return no
end
local record = redis.call('HMGET', CHALLENGE, 'mac', 'subject', 'channel', 'until', 'tries')
if not record[1] or record[2] ~= subject or record[3] ~= channel or (tonumber(record[5]) or 0) >= tries then
    return {'spent'}
end
if tonumber(record[4]) <= now then
    redis.call('HDEL', CHALLENGE, 'mac')
    return {'spent'}
end
-- Counted before it is compared: where Redis has no memory left to count in, nothing is evaluated.
count()
local left = tries - redis.call('HINCRBY', CHALLENGE, 'tries', 1)
-- Lua holds every string once and compares the places, so the time does not tell where two MACs differ.
if record[1] == mac then
    uncount()
    redis.call('DEL', CHALLENGE)
    note(RECORD, HOLDER, SAID)
    return {'right'}
end
if left <= 0 then
    redis.call('HDEL', CHALLENGE, 'mac')
end
return {'wrong', left}
