-- KEYS 1 whom an endpoint's phones wait for, 2 who has hung up meanwhile
return {'waits', redis.call('HVALS', KEYS[1]), redis.call('GET', KEYS[2]) or ''}
