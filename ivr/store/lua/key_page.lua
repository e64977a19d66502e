-- ARGV 3 which proof the digits are hashed for, 4 their MAC, 5 that of what is good once for who has keyed the right ones, or nothing,
-- 6 that of what the browser is known by then, or nothing
if not stage or id ~= ARGV[3] then
    return {'none'}
end
if stage ~= 'opened' then
    return {'over', stage}
end
local digits = redis.call('HGET', PROOF, 'digits')
if not digits then
    return {'over', stage}
end
-- Counted before it is compared: where Redis has no memory left to count in, nothing is evaluated.
local left = shown[5] - redis.call('HINCRBY', PROOF, 'tries', 1)
-- Lua holds every string once and compares the places, so the time does not tell where two MACs differ.
if digits == ARGV[4] then
    go('confirmed')
    if ARGV[5] and ARGV[5] ~= '' then
        redis.call('HSET', PROOF, 'once', ARGV[5])
    end
    if ARGV[6] and ARGV[6] ~= '' then
        redis.call('HSET', PROOF, 'back', ARGV[6])
    end
    return {'confirmed'}
end
if left <= 0 then
    go('wrong')
end
return {'wrong', left}
