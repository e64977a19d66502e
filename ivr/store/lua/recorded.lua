-- KEYS 1 the application's calls
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - KEEP_RECORD))
return {'recorded', redis.call('ZRANGE', KEYS[1], 0, -1)}
