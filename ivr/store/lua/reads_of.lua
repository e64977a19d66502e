-- KEYS of each person two: the customers, and the stop, as in read.lua
local found = {'read'}
for place = 1, #KEYS, 2 do
    found[#found + 1] = redis.call('ZCOUNT', KEYS[place], string.format('(%.0f', now - HOUR), '+inf')
    found[#found + 1] = redis.call('ZCOUNT', KEYS[place], string.format('(%.0f', now - DAY), '+inf')
    found[#found + 1] = redis.call('EXISTS', KEYS[place + 1])
end
return found
