-- KEYS 2 proofs that have come to an end; ARGV 1 what the page's parts of proofs begin with, 2 where desks listen
local PROOF = id and ARGV[1] .. id
local shown = PROOF and redis.call('HMGET', PROOF, 'stage', 'until', 'keyed', 'shown', 'most', 'tries', 'seen')
local stage
if shown and shown[1] then
    stage = shown[1]
    -- the desk says so only when it looks
    if not ENDS[stage] and now >= tonumber(shown[2]) then
        stage = 'expired'
    end
end

local function seen()
    return {'seen', id, stage, shown[2], shown[3], shown[4], shown[5] - (shown[6] or 0), shown[7] or ''}
end

local function tell()
    redis.call('SADD', KEYS[2], id)
    redis.call('PEXPIRE', KEYS[2], HOUR)
    redis.call('PUBLISH', ARGV[2], cjson.encode({proof = id}))
end

local function go(next)
    stage = next
    redis.call('HSET', PROOF, 'stage', next)
    if ENDS[next] then
        redis.call('HDEL', PROOF, 'digits', 'seen')
        tell()
    else
        redis.call('PUBLISH', ARGV[2], cjson.encode({proof = id}))
    end
end
