-- KEYS 1 whom an endpoint's phones wait for: by the agent's channel, until when that may be so and how far it is; 2 who has hung up
-- meanwhile
local waits, read = {}, redis.call('HGETALL', KEYS[1])
for at = 1, #read, 2 do
    local ends, told = string.match(read[at + 1], '^(%d+) (.*)$')
    if ends and tonumber(ends) > now then
        table.insert(waits, told)
    else
        redis.call('HDEL', KEYS[1], read[at])
    end
end
return {'waits', waits, redis.call('GET', KEYS[2]) or ''}
