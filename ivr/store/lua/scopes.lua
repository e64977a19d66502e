-- Failures, counted by customer, calling number and call, and over all calls.
--
-- KEYS 1 all, 2 customer, 3 call, 4 calling number (not touched where it is withheld), 5 the call's record,
-- 6 the customer's record of when there was no tenant in its key: nothing is counted there any more, but it counts as long
-- as it is kept, in each tenant until that tenant's customer of the number was verified or unlocked (`over:TENANT`)
-- ARGV 1 to 8 limits, as `RedisLive` writes them; 9 channel; 10 subject; 11 "1" where there is a calling number;
-- 12 holder of the record, 13 how far the call is (empty: the record stays as it is)
--
-- A record of a customer or a number is a hash: `n` failures in a row, `until` the end of its lock,
-- `by` the channel whose try set the lock; of a number also `of:SUBJECT`, that customer's share of `n`.
local ALL, CUSTOMER, CALL = KEYS[1], KEYS[2], KEYS[3]
local BEFORE = KEYS[6]
local NUMBER = ARGV[11] == '1' and KEYS[4]
local limits = {
    customer = tonumber(ARGV[1]), customer_lock = tonumber(ARGV[2]), customer_most = tonumber(ARGV[3]),
    number = tonumber(ARGV[4]), number_lock = tonumber(ARGV[5]),
    call = tonumber(ARGV[6]), all = tonumber(ARGV[7]), all_window = tonumber(ARGV[8]),
}
local CHANNEL = ARGV[9]
local SHARE = 'of:' .. ARGV[10]
local OVER = 'over:' .. (string.match(ARGV[10], '^(.*):') or '')
local RECORD, HOLDER, SAID = KEYS[5], ARGV[12], ARGV[13]

-- A lock never keeps a customer away for longer than a day, however often it was doubled.
local LOCK_MOST = DAY
-- From the latest failure on. With locks of up to a day it takes 84 days to reach 100 failures in a row
-- (NIST SP 800-63B-4 allows no more): a shorter memory would forget a patient guesser on the way there.
local KEEP_CUSTOMER = 90 * DAY
-- Numbers change hands and are shared; a week outlasts any lock of theirs.
local KEEP_NUMBER = 7 * DAY
-- Longer than calls last; channel names are not used again.
local KEEP_CALL = 6 * HOUR

local function stored(key, field)
    return tonumber(redis.call('HGET', key, field)) or 0
end

local function stored_before(field)
    local found = redis.call('HMGET', BEFORE, field, OVER)
    return not found[2] and tonumber(found[1]) or 0
end

local function lock_left(key)
    return stored(key, 'until') - now
end

local function customers_failures()
    return stored(CUSTOMER, 'n') + stored_before('n')
end

local function refusal(scope, milliseconds)
    return {'locked', scope, milliseconds and math.max(1, math.ceil(milliseconds / 1000)) or -1}
end

-- The answer for a try that must not be evaluated, or nil.
local function locked()
    if (tonumber(redis.call('GET', ALL)) or 0) >= limits.all then
        return refusal('all', redis.call('PTTL', ALL))
    end
    if customers_failures() >= limits.customer_most then
        return refusal('customer')
    end
    local left = math.max(lock_left(CUSTOMER), stored_before('until') - now)
    if left > 0 then
        return refusal('customer', left)
    end
    if NUMBER and lock_left(NUMBER) > 0 then
        return refusal('number', lock_left(NUMBER))
    end
    if stored(CALL, 'n') >= limits.call then
        return refusal('call')
    end
    return nil
end

local function add(key, keep, limit, lock, more)
    local n = redis.call('HINCRBY', key, 'n', 1) + (more or 0)
    if limit and n >= limit then
        -- Every further failure locks at once, and for twice as long: one try after each lock.
        local length = math.min(lock * 2 ^ (n - limit), LOCK_MOST)
        redis.call('HSET', key, 'until', string.format('%.0f', now + length), 'by', CHANNEL)
    end
    redis.call('PEXPIRE', key, keep)
end

-- One failure more in every scope.
local function count()
    if redis.call('INCR', ALL) == 1 then
        redis.call('PEXPIRE', ALL, limits.all_window)
    end
    local before = stored_before('n')
    add(CUSTOMER, KEEP_CUSTOMER, limits.customer, limits.customer_lock, before)
    if before > 0 then
        redis.call('PEXPIRE', BEFORE, KEEP_CUSTOMER)
    end
    add(CALL, KEEP_CALL)
    if NUMBER then
        add(NUMBER, KEEP_NUMBER, limits.number, limits.number_lock)
        redis.call('HINCRBY', NUMBER, SHARE, 1)
    end
end

local function unlock(key)
    redis.call('HDEL', key, 'until', 'by')
end

-- One failure less; a lock that this call's try had set goes with it, one that another's try set stays.
local function take(key)
    local n = stored(key, 'n')
    if n <= 1 then
        redis.call('DEL', key)
        return
    end
    redis.call('HINCRBY', key, 'n', -1)
    if redis.call('HGET', key, 'by') == CHANNEL then
        unlock(key)
    end
end

-- The counted try was right.
local function uncount()
    if (tonumber(redis.call('GET', ALL)) or 0) <= 1 then
        redis.call('DEL', ALL)
    else
        redis.call('DECR', ALL)
    end
    take(CUSTOMER)
    take(CALL)
    if NUMBER then
        take(NUMBER)
        if stored(NUMBER, SHARE) > 0 then
            redis.call('HINCRBY', NUMBER, SHARE, -1)
        end
    end
end
