-- KEYS 1 the page's part, 2 the desk's part, 3 the call's proof, 4 when proofs end, 5 texts over all, 6 to the country, 7 to the
-- prefix, 8 the customer's proof, 9 the customer's bar, 10 times of proofs to the customer, latest first; 11 the link, 12 the
-- code, each where there is one
-- ARGV 1 id, 2 end, in seconds, 3 milliseconds that it is kept behind it, 4 keyed, 5 what is shown, 6 MAC of the digits, 7 the
-- digits, sealed, where the page shows them, 8 tries, 9 the proof, 10 customer, or empty, 11 proofs to one in an hour, 12 to 14
-- texts in an hour over all, to the country, to the prefix, 15 "1" where a text goes, 16 "1" where no bar holds, 17 what the
-- page's parts begin with, 18 "1" where there is a link, 19 "1" where there is a code, 20 messages of the text, 21 what the desk's
-- parts begin with, 22 "1" where the page has nothing to do with it
local PAGE, DESK, CALL, DUE, OF, BAR, TIMES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[8], KEYS[9], KEYS[10]
local id, till, customer, hourly = ARGV[1], ARGV[2] * 1000, ARGV[10] ~= '', tonumber(ARGV[11])
local kept = string.format('%.0f', till - now + ARGV[3])
if till <= now then
    return {'late'}
end

-- The proof that a key names, as far as it has come; nil where it is not known any more.
local function standing(key)
    local other = redis.call('GET', key)
    local stage = other and redis.call('HGET', part(ARGV[17] .. other, ARGV[21] .. other), 'stage')
    return other, stage or nil
end

for _, key in ipairs(customer and {CALL, OF} or {CALL}) do
    local other, stage = standing(key)
    -- denied, and nobody has taken it yet
    if stage == 'denied' and customer and ARGV[16] ~= '1' and key == OF then
        return {'barred'}
    end
    if stage and not ENDS[stage] then
        return {'pending', other}
    end
end
if customer then
    if ARGV[16] ~= '1' and redis.call('EXISTS', BAR) == 1 then
        return {'barred'}
    end
    -- A sliding hour: the one that stands `hourly` places back must be older than that.
    local oldest = tonumber(redis.call('LINDEX', TIMES, hourly - 1))
    if oldest and oldest > now - HOUR then
        return {'many'}
    end
end
local link, code = ARGV[18] == '1' and KEYS[11], ARGV[19] == '1' and KEYS[#KEYS]
if code and redis.call('EXISTS', code) == 1 then
    return {'another'}
end
-- What texts cost is limited last: whoever may have none uses nothing up.
if ARGV[15] == '1' then
    for place, scope in ipairs({'all', 'country', 'prefix'}) do
        local closed = over(KEYS[4 + place], ARGV[11 + place])
        if closed then
            return {'closed', scope, closed}
        end
    end
    for place = 5, 7 do
        spend(KEYS[place], ARGV[20])
    end
end

if customer then
    redis.call('LPUSH', TIMES, string.format('%.0f', now))
    redis.call('LTRIM', TIMES, 0, hourly - 1)
    redis.call('PEXPIRE', TIMES, HOUR)
    redis.call('SET', OF, id, 'PX', kept)
end
redis.call('SET', CALL, id, 'PX', kept)
redis.call('HSET', DESK, 'proof', ARGV[9], 'customer', ARGV[10])
if ARGV[22] == '1' then
    redis.call('HSET', DESK, 'stage', 'asked', 'until', string.format('%.0f', till))
else
    redis.call('HSET', PAGE, 'stage', 'asked', 'keyed', ARGV[4], 'shown', ARGV[5], 'digits', ARGV[6], 'seen', ARGV[7],
        'most', ARGV[8], 'until', string.format('%.0f', till))
    redis.call('PEXPIRE', PAGE, kept)
end
-- it outlives the page's part: who takes it late finds it yet
redis.call('PEXPIRE', DESK, kept + HOUR)
redis.call('ZADD', DUE, string.format('%.0f', till), id)
redis.call('PEXPIRE', DUE, DAY)
if link then
    redis.call('SET', link, id, 'PX', kept)
end
if code then
    redis.call('SET', code, id, 'PX', string.format('%.0f', till - now))
end
return {'kept'}
