-- KEYS 1 the page's part, 2 when proofs end, 3 the customer's bar, 4 ends that were given to a desk, 5 the desk's part; ARGV 1 id,
-- 2 the stage, 3 where desks listen, 4 milliseconds of a bar, 5 "1" where there is a customer, 6 milliseconds until an end is given to another desk
local PART = part(KEYS[1], KEYS[5])
local stage = redis.call('HGET', PART, 'stage')
if not stage or not follows(stage, ARGV[2]) then
    return {'not'}
end
redis.call('HSET', PART, 'stage', ARGV[2])
if ENDS[ARGV[2]] then
    redis.call('HDEL', PART, 'digits', 'seen')
    redis.call('ZREM', KEYS[2], ARGV[1])
    lend(KEYS[4], ARGV[1], ARGV[2], ARGV[6])
    if ARGV[2] == 'denied' and ARGV[5] == '1' then
        redis.call('SET', KEYS[3], '1', 'PX', ARGV[4])
    end
end
redis.call('PUBLISH', ARGV[3], cjson.encode({proof = ARGV[1]}))
return {'moved'}
