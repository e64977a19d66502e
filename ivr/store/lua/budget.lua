-- Texts of a sliding hour, in parts of five minutes: a hash of counts by the beginning of the part, in milliseconds, and
-- `until`, before which nobody is told anew that they are too many. What is counted is those of an hour at least, and of
-- five minutes more at most.
local PART = 5 * 60 * 1000

-- Nil where another text may go; else 1 where that is news, and 0 where it is not.
local function over(key, most)
    local sum, stored = 0, redis.call('HGETALL', key)
    for place = 1, #stored, 2 do
        local begins = tonumber(stored[place])
        if begins and begins + PART > now - HOUR then
            sum = sum + stored[place + 1]
        elseif begins then
            redis.call('HDEL', key, stored[place])
        end
    end
    if sum < tonumber(most) then
        return nil
    end
    if (tonumber(redis.call('HGET', key, 'until')) or 0) > now then
        return 0
    end
    redis.call('HSET', key, 'until', string.format('%.0f', now + HOUR))
    return 1
end

local function spend(key)
    redis.call('HINCRBY', key, string.format('%.0f', now - now % PART), 1)
    redis.call('PEXPIRE', key, HOUR + PART)
end

-- What was spent in this very script.
local function give_back(key)
    redis.call('HINCRBY', key, string.format('%.0f', now - now % PART), -1)
end
