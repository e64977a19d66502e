-- The customer was verified.
local function forgive()
    redis.call('DEL', CUSTOMER)
    -- they were counted when there was no tenant but this: whoever has the same number in another one must not clear them
    if string.sub(ARGV[10], 1, 5) == 'main:' then
        redis.call('DEL', BEFORE)
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
