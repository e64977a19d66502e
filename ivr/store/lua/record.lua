-- A call's record is a hash: `holder` the session that runs the call, `taken` how often another has taken it up,
-- `said` how far it is. What is left of a call whose worker has died, or could not tell of it, waits for the next worker:
-- longer than a weekend, or a holiday, on which there is none.
local KEEP_RECORD = 7 * 24 * 60 * 60 * 1000

-- Whether the session of this nonce has lost the call to another one: what it still has under way must change nothing.
-- Of a record that is gone nobody knows.
local function lost(record, holder)
    local held = redis.call('HGET', record, 'holder')
    return holder ~= '' and held and held ~= holder
end

local function note(record, holder, said)
    if said ~= '' and redis.call('HGET', record, 'holder') == holder then
        redis.call('HSET', record, 'said', said)
        redis.call('PEXPIRE', record, KEEP_RECORD)
    end
end
