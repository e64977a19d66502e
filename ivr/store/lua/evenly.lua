-- The generic cell rate algorithm (ITU-T I.371): when the next request would be due if all came evenly.
-- What is counted: the key, microseconds from one to the next, how many may come at once. The microseconds to wait, where it is one too many.
local function evenly(key, apart, burst)
    local moment = redis.call('TIME')
    local now = moment[1] * 1000000 + moment[2]
    local due = math.max(tonumber(redis.call('GET', key) or now), now)
    local early = due - now - apart * (burst - 1)
    if early > 0 then
        return string.format('%.0f', early)
    end
    redis.call('SET', key, string.format('%.0f', due + apart), 'PX', math.ceil((due + apart - now) / 1000) + 1)
end
