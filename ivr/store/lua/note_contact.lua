-- KEYS 1 calls to a number in one hour, by when they began, 2 by the same the keys 1 in which there are some of this customer
-- ARGV 1 one more, 2 when, in seconds, 3 how many are kept, 4 milliseconds
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -ARGV[3] - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('ZADD', KEYS[2], ARGV[2], KEYS[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[2] - ARGV[4] / 1000)
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return {'kept'}
