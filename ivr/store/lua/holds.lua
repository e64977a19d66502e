-- KEYS of counts of failures (scopes.lua); ARGV 1 failures in a row after which only an unlock helps
local found = {}
for _, key in ipairs(KEYS) do
    local stored = redis.call('HMGET', key, 'n', 'until', 'by')
    local ends, n = tonumber(stored[2]) or 0, tonumber(stored[1]) or 0
    if ends > now or n >= tonumber(ARGV[1]) then
        found[#found + 1] = {key, n, string.format('%.0f', math.floor(ends / 1000)), stored[3] or ''}
    end
end
return {'holds', found}
