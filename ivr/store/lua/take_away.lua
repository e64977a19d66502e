-- KEYS 1 mark, 2 the node's marks
-- ARGV 1 the mark's nonce, 2 channel, 3 where desks listen, 4 what they are told
local written = redis.call('GET', KEYS[1])
local is, read = pcall(cjson.decode, written or 'null')
if not is or type(read) ~= 'table' or read.nonce ~= ARGV[1] then
    return {'kept'}
end
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('DEL', KEYS[1])
redis.pcall('PUBLISH', ARGV[3], ARGV[4])
return {'taken'}
