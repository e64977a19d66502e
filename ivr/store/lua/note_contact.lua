-- KEYS 1 calls to a number in one hour, by when they began; ARGV 1 one more, 2 when, 3 how many are kept, 4 milliseconds
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -ARGV[3] - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {'kept'}
