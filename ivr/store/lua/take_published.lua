-- KEYS 1 where the digits lead, 2 when proofs end, 3 wrong ones from this number, 4 wrong ones in all, 5 the new call's proof, 6 the proof
-- of whoever talks at this number, 7 ends that are given to a desk
-- ARGV 1 how many from a number in an hour, 2 in all, 3 how many of whoever talks, 4 what the desk's parts begin with, 5 node and
-- 6 channel of the new call, 7 milliseconds that its person may wait, 8 that a proof is kept behind its end, 9 where desks listen
local function tell(id)
    redis.call('PUBLISH', ARGV[9], cjson.encode({proof = id}))
end
for place, scope in ipairs({'number', 'all'}) do
    local first = over(KEYS[2 + place], ARGV[place])
    if first then
        if first == 1 and scope == 'all' then
            -- desks show digits that are good for nothing now
            for _, waits in ipairs(redis.call('ZRANGE', KEYS[2], 0, 99)) do
                tell(waits)
            end
        end
        return {'closed', scope, first}
    end
end
-- Counted before it is compared: where Redis has no memory left to count in, nothing is evaluated.
spend(KEYS[3], 1)
spend(KEYS[4], 1)
local function waits(id, at)
    local stage, till = unpack(redis.call('HMGET', ARGV[4] .. id, 'stage', 'until'))
    return stage == at and tonumber(till) > now and tonumber(till)
end
local id = redis.call('GET', KEYS[1])
local text = id and redis.call('HGET', ARGV[4] .. id, 'proof')
local proof = text and cjson.decode(text)
local ends = proof and waits(id, 'sent')
local opened = proof and waits(id, 'opened')
if opened and proof.node == ARGV[5] and proof.channel == ARGV[6] then
    -- this call has keyed them before, and was not sent on: its worker has died, or the answer was lost
    ends = opened
end
if not ends then
    if not opened then
        redis.call('DEL', KEYS[1])
    end
    -- whoever talks with an agent was told others, by somebody else, or somebody guesses in their name
    local own = redis.call('GET', KEYS[6])
    if own and waits(own, 'sent') and redis.call('HINCRBY', ARGV[4] .. own, 'wrong', 1) >= tonumber(ARGV[3]) then
        redis.call('HSET', ARGV[4] .. own, 'stage', 'wrong')
        redis.call('ZREM', KEYS[2], own)
        lend(KEYS[7], own, 'wrong', 0)
        tell(own)
    end
    return {'unknown'}
end
spend(KEYS[3], -1)
spend(KEYS[4], -1)
if proof.node ~= ARGV[5] then
    -- they stay good: their caller has done nothing wrong, and another call may come to the right one
    return {'elsewhere'}
end

local till = math.max(ends, now + ARGV[7])
-- good for this call alone from now on
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', till - now))
local kept = till - now + ARGV[8]
local desk = ARGV[4] .. id
proof.channel, proof['until'] = ARGV[6], math.floor(till / 1000)
redis.call('HSET', desk, 'proof', cjson.encode(proof), 'stage', 'opened', 'until', string.format('%.0f', till))
redis.call('PEXPIRE', desk, string.format('%.0f', kept + HOUR))
redis.call('ZADD', KEYS[2], string.format('%.0f', till), id)
redis.call('PEXPIRE', KEYS[2], DAY)
redis.call('SET', KEYS[5], id, 'PX', string.format('%.0f', kept))
tell(id)
return {'taken', proof.endpoint}
