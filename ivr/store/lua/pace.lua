-- The generic cell rate algorithm (ITU-T I.371): when the next request would be due if all came evenly.
-- KEYS: the one. ARGV: microseconds from one to the next, how many may come at once.
local moment = redis.call('TIME')
local now = moment[1] * 1000000 + moment[2]
local apart, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local early = due - now - apart * (burst - 1)
if early > 0 then
    return { 'wait', string.format('%.0f', early) }
end
redis.call('SET', KEYS[1], string.format('%.0f', due + apart), 'PX', math.ceil((due + apart - now) / 1000) + 1)
return { 'go' }
