-- Until when no digits are right at the published number, in milliseconds, where nobody keys wrong ones any more.
-- KEYS 1 wrong ones in all; ARGV 1 how many in an hour
local left = used(KEYS[1])
if left < tonumber(ARGV[1]) then
    return {'open'}
end
local parts, stored = {}, redis.call('HGETALL', KEYS[1])
for place = 1, #stored, 2 do
    local begins = tonumber(stored[place])
    if begins then
        table.insert(parts, {begins, stored[place + 1]})
    end
end
table.sort(parts, function(one, other) return one[1] < other[1] end)
for _, one in ipairs(parts) do
    left = left - one[2]
    if left < tonumber(ARGV[1]) then
        return {'closed', string.format('%.0f', one[1] + PART + HOUR)}
    end
end
return {'open'}
