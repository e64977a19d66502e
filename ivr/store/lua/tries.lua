-- Tries to sign in, counted by login, by address and over all.
--
-- KEYS 1 all, 2 login, 3 and on address: the networks that it is in, from the smallest on
-- ARGV 1 failures of a login, then a wait of 2 milliseconds, 3 failures after which only a reset helps; 4 the same wait of a
-- network, 5 longest wait; 6 failures over all in a window of 7 milliseconds; 8 name of this try, 9 login as networks count it,
-- 10 "1" where it counts over all, 11 and on failures of each network
--
-- A record is a hash: `n` failures in a row, `until` the end of its wait, `by` the try that set the wait, `told` the end of
-- the wait that was told of; of a network also `of:LOGIN`, that login's share of `n`.
local ALL, LOGIN = KEYS[1], KEYS[2]
local NETWORKS = {unpack(KEYS, 3)}
local limits = {
    login = tonumber(ARGV[1]), login_wait = tonumber(ARGV[2]), login_most = tonumber(ARGV[3]),
    network_wait = tonumber(ARGV[4]), wait_most = tonumber(ARGV[5]), all = tonumber(ARGV[6]), window = tonumber(ARGV[7]),
    networks = {},
}
local TRY, SHARE, OVER_ALL = ARGV[8], 'of:' .. ARGV[9], ARGV[10] == '1'
for place = 1, #NETWORKS do
    limits.networks[place] = tonumber(ARGV[10 + place])
end

-- Longer than it takes to come from one wait to 100 failures in a row (NIST SP 800-63B-4 allows no more).
local KEEP_LOGIN = 90 * DAY
-- Longer than any wait of theirs.
local KEEP_NETWORK = 2 * DAY

local function stored(key, field)
    return tonumber(redis.call('HGET', key, field)) or 0
end

local function text(number)
    return string.format('%.0f', number)
end

-- What is refused, for how long, how many failures there are, and whether that is news.
local function refusal(scope, key, milliseconds)
    local ends = milliseconds and text(now + milliseconds) or 'reset'
    local news = redis.call('HGET', key, 'told') ~= ends
    if news then
        redis.call('HSET', key, 'told', ends)
    end
    return {
        'refused', scope, milliseconds and math.max(1, math.ceil(milliseconds / 1000)) or -1,
        stored(key, 'n'), news and 1 or 0,
    }
end

-- The answer for a try that must not be evaluated, or nil.
local function refused()
    if OVER_ALL and stored(ALL, 'n') >= limits.all then
        return refusal('all', ALL, stored(ALL, 'until') - now)
    end
    if stored(LOGIN, 'n') >= limits.login_most then
        return refusal('login', LOGIN)
    end
    local login_left = stored(LOGIN, 'until') - now
    if login_left > 0 then
        return refusal('login', LOGIN, login_left)
    end
    for _, network in ipairs(NETWORKS) do
        local left = stored(network, 'until') - now
        if left > 0 then
            return refusal('address', network, left)
        end
    end
    return nil
end

local function add(key, keep, limit, wait)
    local n = redis.call('HINCRBY', key, 'n', 1)
    if n >= limit then
        -- Every further failure waits at once, and for twice as long: one try after each wait.
        local length = math.min(wait * 2 ^ (n - limit), limits.wait_most)
        redis.call('HSET', key, 'until', text(now + length), 'by', TRY)
    end
    redis.call('PEXPIRE', key, keep)
end

local function count()
    if OVER_ALL and redis.call('HINCRBY', ALL, 'n', 1) == 1 then
        redis.call('HSET', ALL, 'until', text(now + limits.window))
        redis.call('PEXPIRE', ALL, limits.window)
    end
    add(LOGIN, KEEP_LOGIN, limits.login, limits.login_wait)
    for place, network in ipairs(NETWORKS) do
        add(network, KEEP_NETWORK, limits.networks[place], limits.network_wait)
        redis.call('HINCRBY', network, SHARE, 1)
    end
end

-- So many failures less; the wait goes with them where it has no ground any more, or this try has set it.
local function take(key, number, limit)
    local left = stored(key, 'n') - number
    if left <= 0 then
        redis.call('DEL', key)
        return
    end
    redis.call('HSET', key, 'n', left)
    if limit and (left < limit or redis.call('HGET', key, 'by') == TRY) then
        redis.call('HDEL', key, 'until', 'by')
    end
end

-- The counted try was right: the login's failures are forgotten, and of the networks' those that were this login's. Who
-- guesses at others' passwords must not clear the count by signing in as himself in between.
local function forgive()
    if OVER_ALL then
        take(ALL, 1)
    end
    redis.call('DEL', LOGIN)
    for place, network in ipairs(NETWORKS) do
        local share = stored(network, SHARE)
        if share > 0 then
            redis.call('HDEL', network, SHARE)
            take(network, share, limits.networks[place])
        end
    end
end
