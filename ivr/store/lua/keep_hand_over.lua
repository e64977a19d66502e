-- KEYS 1 the code, 2 the session; ARGV 1 host, 2 hash of what the browser holds there, 3 hash of the session's token, 4 milliseconds
if redis.call('EXISTS', KEYS[2]) == 0 then
    return {'none'}
end
redis.call('HSET', KEYS[1], 'host', ARGV[1], 'begun', ARGV[2], 'session', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {'kept'}
