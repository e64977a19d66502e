-- KEYS 1 when proofs end, 2 those whose end the page has told, 3 ends that were given to a desk, by when they are given again; ARGV 1
-- what the page's parts begin with, 2 the desk's, 3 the bars, 4 milliseconds of a bar, 5 how many at most, 6 where desks listen, 7
-- milliseconds until it is given again
local taken, most = {'due'}, tonumber(ARGV[5])
-- whoever has broken into the page may leave a key of another type there: it counts for nothing
local function clear(key, type)
    local found = redis.call('TYPE', key).ok
    if found ~= type and found ~= 'none' then
        redis.call('DEL', key)
    end
end
local function stage_of(id)
    clear(ARGV[1] .. id, 'hash')
    return redis.call('HGET', part(ARGV[1] .. id, ARGV[2] .. id), 'stage')
end
clear(KEYS[2], 'set')

local function give(id, stage)
    local found = redis.call('HMGET', ARGV[2] .. id, 'proof', 'customer')
    if not found[1] then
        return
    end
    if stage == 'denied' and found[2] ~= '' then
        redis.call('SET', ARGV[3] .. found[2], '1', 'PX', ARGV[4])
    end
    -- until the desk that gets it has told of it
    lend(KEYS[3], id, stage, ARGV[7])
    table.insert(taken, id)
    table.insert(taken, found[1])
    table.insert(taken, stage)
end

local function take(id, stage)
    -- of two who look at once one takes it, and what the page says twice is told once
    if redis.call('ZREM', KEYS[1], id) == 1 then
        give(id, stage)
    end
    -- denied behind that end; the page's word for it is taken once, too
    if stage ~= 'denied' and redis.call('HGET', part(ARGV[1] .. id, ARGV[2] .. id), 'late') and redis.call('EXISTS', ARGV[2] .. id) == 1
        and redis.call('HSETNX', ARGV[2] .. id, 'late', '1') == 1 then
        give(id, 'denied')
    end
end

for _, lent in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now), 'LIMIT', 0, most)) do
    redis.call('ZREM', KEYS[3], lent)
    local stage, id = string.match(lent, '^(%l+) (.+)$')
    give(id, stage)
end
for _, id in ipairs(redis.call('SPOP', KEYS[2], most)) do
    local stage = stage_of(id)
    if stage and ENDS[stage] then
        take(id, stage)
    end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, most)) do
    local stage = stage_of(id)
    -- the page's part may have gone: nobody has looked for an hour
    if stage and not ENDS[stage] then
        local where = part(ARGV[1] .. id, ARGV[2] .. id)
        redis.call('HSET', where, 'stage', 'expired')
        redis.call('HDEL', where, 'digits', 'seen')
        redis.call('PUBLISH', ARGV[6], cjson.encode({proof = id}))
    end
    take(id, stage and ENDS[stage] and stage or 'expired')
end
return taken
