-- KEYS 1 what is asked, 2 what was heard
local link = redis.call('HGET', KEYS[1], 'link')
if link then
    redis.call('DEL', link)
end
redis.call('DEL', KEYS[1], KEYS[2])
return {'dropped'}
