-- KEYS 1 mark, 2 the node's marks
-- ARGV 1 the mark's nonce, 2 channel
local written = redis.call('GET', KEYS[1])
local is, read = pcall(cjson.decode, written or 'null')
if not is or type(read) ~= 'table' or read.nonce ~= ARGV[1] then
    return {'kept'}
end
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('DEL', KEYS[1])
return {'taken'}
