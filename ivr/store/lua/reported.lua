-- KEYS 1 what became of a text; ARGV 1 milliseconds that somebody waits to be told
redis.call('HSETNX', KEYS[1], 'expects', '')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return redis.call('HGETALL', KEYS[1])
