-- KEYS 1 ticket; ARGV 1 what it stands for, 2 milliseconds that it is good for
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'kept'}
