-- KEYS 1 session; ARGV 1 what the keys of persons' sessions begin with, 2 hash of the token
local person = redis.call('HGET', KEYS[1], 'person')
if person then
    redis.call('ZREM', ARGV[1] .. person, ARGV[2])
end
return {'ended', redis.call('DEL', KEYS[1])}
