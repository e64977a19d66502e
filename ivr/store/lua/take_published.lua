-- KEYS 1 where the digits lead, 2 when proofs end, 3 wrong ones from this number, 4 wrong ones in all, 5 the new call's proof
-- ARGV 1 how many from a number in an hour, 2 in all, 3 what the page's parts begin with, 4 the desk's, 5 node and 6 channel of
-- the new call, 7 milliseconds that its person may wait, 8 that a proof is kept behind its end, 9 where desks listen
for place, scope in ipairs({'number', 'all'}) do
    local first = over(KEYS[2 + place], ARGV[place])
    if first then
        return {'closed', scope, first}
    end
end
-- Counted before it is compared: where Redis has no memory left to count in, nothing is evaluated.
spend(KEYS[3], 1)
spend(KEYS[4], 1)
local id = redis.call('GET', KEYS[1])
local text = id and redis.call('HGET', ARGV[4] .. id, 'proof')
local standing = id and redis.call('HMGET', ARGV[3] .. id, 'stage', 'until')
if not text or standing[1] ~= 'sent' or tonumber(standing[2]) <= now then
    redis.call('DEL', KEYS[1])
    return {'unknown'}
end
spend(KEYS[3], -1)
spend(KEYS[4], -1)
local proof = cjson.decode(text)
if proof.node ~= ARGV[5] then
    -- they stay good: their caller has done nothing wrong, and another call may come to the right one
    return {'elsewhere'}
end

redis.call('DEL', KEYS[1])
local till = math.max(tonumber(standing[2]), now + ARGV[7])
local kept = till - now + ARGV[8]
local page, desk = ARGV[3] .. id, ARGV[4] .. id
proof.channel, proof['until'] = ARGV[6], math.floor(till / 1000)
redis.call('HSET', page, 'stage', 'opened', 'until', string.format('%.0f', till))
redis.call('PEXPIRE', page, string.format('%.0f', kept))
redis.call('HSET', desk, 'proof', cjson.encode(proof))
redis.call('PEXPIRE', desk, string.format('%.0f', kept + HOUR))
redis.call('ZADD', KEYS[2], string.format('%.0f', till), id)
redis.call('PEXPIRE', KEYS[2], DAY)
redis.call('SET', KEYS[5], id, 'PX', string.format('%.0f', kept))
redis.call('PUBLISH', ARGV[9], cjson.encode({proof = id}))
return {'taken', proof.endpoint}
