-- KEYS 1 the page's part, 2 when proofs end, 3 the customer's bar; ARGV 1 id, 2 the stage, 3 where desks listen, 4 milliseconds of
-- a bar, 5 "1" where there is a customer
local stage = redis.call('HGET', KEYS[1], 'stage')
if not stage or not follows(stage, ARGV[2]) then
    return {'not'}
end
redis.call('HSET', KEYS[1], 'stage', ARGV[2])
if ENDS[ARGV[2]] then
    redis.call('HDEL', KEYS[1], 'digits', 'seen')
    redis.call('ZREM', KEYS[2], ARGV[1])
    if ARGV[2] == 'denied' and ARGV[5] == '1' then
        redis.call('SET', KEYS[3], '1', 'PX', ARGV[4])
    end
end
redis.call('PUBLISH', ARGV[3], cjson.encode({proof = ARGV[1]}))
return {'moved'}
