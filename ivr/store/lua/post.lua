-- KEYS 1 what has come in; ARGV 1 one more, 2 how many there may be, 3 milliseconds behind the last one that they are kept
if redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[2]) then
    return {'full'}
end
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {'kept'}
