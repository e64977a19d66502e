-- An end that a desk is to tell of: whoever has not done so by then has died, and another one gets it.
local function lend(key, id, stage, milliseconds)
    redis.call('ZADD', key, string.format('%.0f', now + milliseconds), stage .. ' ' .. id)
    redis.call('PEXPIRE', key, DAY)
end
