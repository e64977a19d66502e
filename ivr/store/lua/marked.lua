-- KEYS 1 the node's marks
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', math.floor(now / 1000))
return {'marked', redis.call('ZRANGE', KEYS[1], 0, -1)}
