-- Whose turn it is: taken where it is nobody's, renewed by who has it.
-- KEYS 1 the turn. ARGV 1 who asks, 2 milliseconds that it lasts
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
    return { 'other' }
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return { 'mine' }
