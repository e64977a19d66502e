-- ARGV 1 the identifier
redis.call('ZREM', PERSONS, ARGV[1])
redis.call('ZREM', WAITING, ARGV[1])
return {'dropped', redis.call('DEL', OPENING)}
