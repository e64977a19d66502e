-- KEYS of each channel two: the mark, and the call's record
local found = {'glance'}
for place = 1, #KEYS, 2 do
    found[#found + 1] = redis.call('GET', KEYS[place])
    local record = redis.call('HMGET', KEYS[place + 1], 'holder', 'said')
    found[#found + 1] = record[1]
    found[#found + 1] = record[2]
end
return found
