-- KEYS 1 what is asked, 2 the link; ARGV 1 its id, 2 milliseconds that it is good, 3 what is shown, 4 answers that are taken
local before = redis.call('HGET', KEYS[1], 'link')
if before then
    redis.call('DEL', before)
end
redis.call('HSET', KEYS[1], 'shown', ARGV[3], 'most', ARGV[4], 'link', KEYS[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return {'asked'}
