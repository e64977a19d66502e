-- KEYS of each person three: the customers, and the stop, as in read.lua; the warning, as in warned.lua
local found = {'read'}
for place = 1, #KEYS, 3 do
    found[#found + 1] = redis.call('ZCOUNT', KEYS[place], string.format('(%.0f', now - HOUR), '+inf')
    found[#found + 1] = redis.call('ZCOUNT', KEYS[place], string.format('(%.0f', now - DAY), '+inf')
    found[#found + 1] = redis.call('EXISTS', KEYS[place + 1])
    found[#found + 1] = redis.call('EXISTS', KEYS[place + 2])
end
return found
