-- KEYS whom the phones of each endpoint wait for
local found = {'waits'}
for _, key in ipairs(KEYS) do
    for _, waiting in ipairs(redis.call('HVALS', key)) do
        found[#found + 1] = waiting
    end
end
return found
