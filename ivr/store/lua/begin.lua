-- KEYS 1 mark, 2 the node's marks, 3 record, 4 the application's calls: channels by the beginning of their rounds
-- ARGV 1 channel, 2 holder, 3 how far it is
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[1], KEYS[3])
redis.call('HSET', KEYS[3], 'holder', ARGV[2])
note(KEYS[3], ARGV[2], ARGV[3])
redis.call('ZADD', KEYS[4], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', string.format('%.0f', now - KEEP_RECORD))
redis.call('PEXPIRE', KEYS[4], KEEP_RECORD)
return {'done'}
