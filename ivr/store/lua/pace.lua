-- KEYS: the one. ARGV: microseconds from one to the next, how many may come at once.
local wait = evenly(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]))
if wait then
    return { 'wait', wait }
end
return { 'go' }
