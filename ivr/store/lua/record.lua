-- A call's record is a hash: `holder` the session that runs the call, `taken` how often another has taken it up,
-- `said` how far it is. Longer than calls are being verified.
local KEEP_RECORD = 6 * 60 * 60 * 1000

local function note(record, holder, said)
    if said ~= '' and redis.call('HGET', record, 'holder') == holder then
        redis.call('HSET', record, 'said', said)
        redis.call('PEXPIRE', record, KEEP_RECORD)
    end
end
