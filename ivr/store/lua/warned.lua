-- KEYS 1 that somebody was warned of a person: which warning it is, until the trail was told of it
-- ARGV 1 milliseconds for which nobody is warned anew
local warning = redis.call('GET', KEYS[1])
if warning then
    return {'warned', 0, warning}
end
warning = string.format('%.0f', instant)
redis.call('SET', KEYS[1], warning, 'PX', ARGV[1])
return {'warned', 1, warning}
