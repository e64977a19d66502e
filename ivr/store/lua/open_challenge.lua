-- KEYS 1 challenge, 2 times of the texts to this subject, latest first, 3 the call's record
-- ARGV 1 subject, 2 channel, 3 MAC, 4 life, 5 tries, 6 resend, 7 sends, 8 sends in an hour; times in milliseconds;
-- 9 holder of the record, 10 how far the call is; 11 to 13 texts in an hour over all, to the country, to the prefix;
-- 14 "1" where a text would go, 15 "1" where a denial holds, 16 in how many messages
-- KEYS 4 texts over all, 5 to the country, 6 to the prefix, 7 that the customer has said not to be calling
local CHALLENGE, TEXTS = KEYS[1], KEYS[2]
local subject, channel, mac = ARGV[1], ARGV[2], ARGV[3]
local life, tries, resend = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local sends, per_hour = tonumber(ARGV[7]), tonumber(ARGV[8])

if lost(KEYS[3], ARGV[9]) then
    return {'taken'}
end
if ARGV[15] == '1' and redis.call('EXISTS', KEYS[7]) == 1 then
    return {'many'}
end
local record = redis.call('HMGET', CHALLENGE, 'subject', 'channel', 'tries', 'sends')
if record[1] and (record[1] ~= subject or record[2] ~= channel) then
    return {'many'}
end
if (tonumber(record[3]) or 0) >= tries or (tonumber(record[4]) or 0) >= sends then
    return {'many'}
end
-- A sliding hour: the text that stands `per_hour` places back must be older than that.
local oldest = tonumber(redis.call('LINDEX', TEXTS, per_hour - 1))
if oldest and oldest > now - HOUR then
    return {'many'}
end
local latest = tonumber(redis.call('LINDEX', TEXTS, 0))
if latest and latest + resend > now then
    return {'soon', math.min(math.ceil((latest + resend - now) / 1000), resend / 1000)}
end

-- What texts cost is limited last: whoever may have none uses nothing up.
local closed = over(KEYS[4], ARGV[11])
if closed then
    return {'closed', 'all', closed}
end
local scope
if ARGV[14] == '1' then
    scope, closed = 'country', over(KEYS[5], ARGV[12])
    if not closed then
        scope, closed = 'prefix', over(KEYS[6], ARGV[13])
    end
    if not closed then
        for place = 4, 6 do
            spend(KEYS[place], ARGV[16])
        end
    end
end

redis.call('LPUSH', TEXTS, string.format('%.0f', now))
redis.call('LTRIM', TEXTS, 0, per_hour - 1)
redis.call('PEXPIRE', TEXTS, HOUR)
redis.call('HSET', CHALLENGE, 'subject', subject, 'channel', channel, 'mac', mac, 'until', string.format('%.0f', now + life))
redis.call('HINCRBY', CHALLENGE, 'sends', 1)
-- The counts outlive the code, as long as a call lasts: waiting until it expires gives neither tries nor texts.
redis.call('PEXPIRE', CHALLENGE, 6 * HOUR)
note(KEYS[3], ARGV[9], ARGV[10])
if closed then
    return {'opened', scope, closed}
end
return {'opened'}
