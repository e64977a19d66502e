-- KEYS 1 mark, 2 the node's marks, 3 record, 4 the application's calls
-- ARGV 1 channel, 2 who takes the call up, 3 "1" where the call has left the application: a mark may be in force,
-- 4 the application
local said = redis.call('HGET', KEYS[3], 'said')
local is, read = pcall(cjson.decode, said or 'null')
-- the caller may have come again, by another application, which another worker serves
local another = is and type(read) == 'table' and read.app and read.app ~= ARGV[4]
if not said or another then
    redis.call('ZREM', KEYS[4], ARGV[1])
    return {'none'}
end
if ARGV[3] == '0' then
    redis.call('ZREM', KEYS[2], ARGV[1])
    redis.call('DEL', KEYS[1])
end
redis.call('HSET', KEYS[3], 'holder', ARGV[2])
return {'taken', said, redis.call('HINCRBY', KEYS[3], 'taken', 1)}
