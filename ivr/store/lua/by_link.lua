-- KEYS 1 the link
local id = redis.call('GET', KEYS[1])
