-- ARGV 1 the wish, 2 its identifier, 3 its end, 4 how many a person may have
redis.call('ZREMRANGEBYSCORE', PERSONS, '-inf', string.format('%.0f', now))
redis.call('ZREMRANGEBYSCORE', WAITING, '-inf', string.format('%.0f', now))
if redis.call('ZCARD', PERSONS) >= tonumber(ARGV[4]) then
    return {'many'}
end
if not written(ARGV[1], ARGV[2], ARGV[3]) then
    return {'late'}
end
redis.call('ZADD', WAITING, string.format('%.0f', ARGV[3] * 1000), ARGV[2])
redis.call('PEXPIRE', WAITING, string.format('%.0f', math.max(ARGV[3] * 1000 - now, redis.call('PTTL', WAITING))))
return {'kept'}
