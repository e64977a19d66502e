-- KEYS whom the phones of each endpoint wait for: by the agent's channel, until when that may be so and how far it is
local found = {'waits'}
for _, key in ipairs(KEYS) do
    for _, waiting in ipairs(redis.call('HVALS', key)) do
        local ends, told = string.match(waiting, '^(%d+) (.*)$')
        if ends and tonumber(ends) > now then
            found[#found + 1] = told
        end
    end
end
return found
