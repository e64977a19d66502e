-- ARGV 1 the wish as it was, 2 as it is then, 3 its identifier, 4 its end
if redis.call('GET', OPENING) ~= ARGV[1] or not written(ARGV[2], ARGV[3], ARGV[4]) then
    return {'other'}
end
redis.call('ZREM', WAITING, ARGV[3])
return {'opened'}
