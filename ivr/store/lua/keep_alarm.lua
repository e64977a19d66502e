-- KEYS 1 alarms of a tenant, latest first; ARGV 1 the alarm, 2 how many are kept, 3 milliseconds behind the last one
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {'kept'}
