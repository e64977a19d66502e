-- KEYS 1 mark, 2 the node's marks, 3 record, 4 the application's calls
-- ARGV 1 channel, 2 holder (empty: whoever it is), 3 "1" where the call is over
local holder = redis.call('HGET', KEYS[3], 'holder')
if ARGV[2] ~= '' and holder and holder ~= ARGV[2] then
    return {'dropped', 0}
end
if ARGV[3] == '1' then
    redis.call('DEL', KEYS[3])
    redis.call('ZREM', KEYS[4], ARGV[1])
end
redis.call('ZREM', KEYS[2], ARGV[1])
return {'dropped', redis.call('DEL', KEYS[1])}
