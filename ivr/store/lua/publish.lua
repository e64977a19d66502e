-- KEYS 1 what is published; ARGV 1 what stood there when it was looked at, 2 what is to stand there, 3 milliseconds
-- Of two desks that write at once the second looks again: it may hold the older key
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
    return {'another'}
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return {'kept'}
