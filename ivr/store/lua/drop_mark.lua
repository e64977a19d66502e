-- KEYS 1 mark, 2 the node's marks; ARGV 1 channel
redis.call('ZREM', KEYS[2], ARGV[1])
return {'dropped', redis.call('DEL', KEYS[1])}
