-- Whether this user may write here: a key of its own, gone at once.
redis.call('SET', KEYS[1], '1', 'PX', 1000)
redis.call('DEL', KEYS[1])
return {'done'}
