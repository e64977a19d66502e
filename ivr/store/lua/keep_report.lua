-- KEYS 1 what became of a text: what was reported of it, in turn, and whether somebody `expects` it
-- ARGV 1 what is reported, 2 the gateway's code, 3 milliseconds that it is kept for nobody yet, 4 the channel, 5 the message
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
    return {'again'}
end
local expected = redis.call('HEXISTS', KEYS[1], 'expects')
redis.call('HSET', KEYS[1], ARGV[1], redis.call('HLEN', KEYS[1]) .. ' ' .. ARGV[2])
if expected == 1 then
    redis.call('PUBLISH', ARGV[4], ARGV[5])
    return {'told'}
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {'early'}
