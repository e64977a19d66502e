-- KEYS 1 ticket: of two who take it at once one finds it gone
local found = redis.call('GET', KEYS[1])
if not found then
    return {'none'}
end
redis.call('DEL', KEYS[1])
return {'taken', found}
