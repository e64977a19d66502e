-- A wish to open a record without a call.
--
-- KEYS 1 the wish; 2 all of that person, 3 of the tenant those that wait: identifiers by their ends, in milliseconds
local OPENING, PERSONS, WAITING = KEYS[1], KEYS[2], KEYS[3]

-- Whether it could be written: not where its end, in seconds since the epoch, is over.
local function written(text, id, ends)
    local till = ends * 1000
    if till <= now then
        return false
    end
    redis.call('SET', OPENING, text, 'PX', string.format('%.0f', till - now))
    redis.call('ZADD', PERSONS, string.format('%.0f', till), id)
    redis.call('PEXPIRE', PERSONS, string.format('%.0f', math.max(till - now, redis.call('PTTL', PERSONS))))
    return true
end
