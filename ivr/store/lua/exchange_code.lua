-- KEYS 1 the code, 2 the link that is to stand for the same; ARGV 1 what the page's parts of proofs begin with, 2 how often a code may be keyed
local id = redis.call('GET', KEYS[1])
local left = id and redis.call('PTTL', KEYS[1])
local PROOF = id and ARGV[1] .. id
local stage = PROOF and redis.call('HGET', PROOF, 'stage')
if not stage or ENDS[stage] or left <= 0 then
    return {'none'}
end
if redis.call('HINCRBY', PROOF, 'codes', 1) > tonumber(ARGV[2]) then
    return {'none'}
end
redis.call('SET', KEYS[2], id, 'PX', redis.call('PTTL', PROOF))
return {'exchanged'}
