-- Texts of a sliding hour, in parts of five minutes: a hash of counts by the beginning of the part, in milliseconds, and
-- `until`, before which nobody is told anew that they are too many. What is counted is those of an hour at least, and of
-- five minutes more at most.
local PART = 5 * 60 * 1000

local function used(key)
    local sum, stored = 0, redis.call('HGETALL', key)
    for place = 1, #stored, 2 do
        local begins = tonumber(stored[place])
        if begins and begins + PART > now - HOUR then
            sum = sum + stored[place + 1]
        elseif begins then
            redis.call('HDEL', key, stored[place])
        end
    end
    return sum
end

-- Nil where another text may go; else 1 where that is news, and 0 where it is not. The last one may take more parts than are
-- left: were it refused for its length, those whom no text is sent to would hear another answer than others.
local function over(key, most)
    if used(key) < tonumber(most) then
        return nil
    end
    if (tonumber(redis.call('HGET', key, 'until')) or 0) > now then
        return 0
    end
    redis.call('HSET', key, 'until', string.format('%.0f', now + HOUR))
    return 1
end

-- A long text is several `messages`, each of which is paid for.
local function spend(key, messages)
    redis.call('HINCRBY', key, string.format('%.0f', now - now % PART), messages)
    redis.call('PEXPIRE', key, HOUR + PART)
end
