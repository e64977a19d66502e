-- The customer was verified.
local function forgive()
    redis.call('DEL', CUSTOMER)
    -- whose they were is not known here: whoever has the same number in another tenant must not clear them for this one
    if redis.call('EXISTS', BEFORE) == 1 then
        redis.call('HSET', BEFORE, OVER, 1)
    end
    if NUMBER then
        -- Only what this customer had added: who guesses at others' accounts from a number must not
        -- clear its count by verifying as himself in between.
        local left = stored(NUMBER, 'n') - stored(NUMBER, SHARE)
        if left <= 0 then
            redis.call('DEL', NUMBER)
        else
            redis.call('HSET', NUMBER, 'n', left)
            redis.call('HDEL', NUMBER, SHARE)
            if left < limits.number then
                unlock(NUMBER)
            end
        end
    end
end
