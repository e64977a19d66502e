-- Tries to sign in, counted by login, by address and over all.
--
-- KEYS 1 all, 2 login, 3 address, 4 and on the wider networks that it is in
-- ARGV 1 failures of a login, then a wait of 2 milliseconds, 3 failures after which only a reset helps; 4 the same wait of an
-- address, 5 longest wait; 6 failures over all in a window of 7 milliseconds; 8 name of this try, 9 login as addresses count it,
-- 10 "1" where it can be guessed: then it counts over all, and in wider networks; 11 failures of an address; 12 and on in pairs,
-- failures of each wider network, and milliseconds after which one of them is forgotten
--
-- A record is a hash: `n` failures in a row, `until` the end of its wait, `by` the try that set the wait, `told` the end of
-- the wait that was told of; of an address also `of:LOGIN`, that login's share of `n`. Of a wider network there is no `n`, and
-- `until` is when its failures are all forgotten: many have it, and of all of them together somebody fails every day.
local ALL, LOGIN = KEYS[1], KEYS[2]
local ADDRESS = KEYS[3]
local limits = {
    login = tonumber(ARGV[1]), login_wait = tonumber(ARGV[2]), login_most = tonumber(ARGV[3]),
    address_wait = tonumber(ARGV[4]), wait_most = tonumber(ARGV[5]), all = tonumber(ARGV[6]), window = tonumber(ARGV[7]),
    address = tonumber(ARGV[11]),
}
local TRY, SHARE, GUESSABLE = ARGV[8], 'of:' .. ARGV[9], ARGV[10] == '1'
local WIDER = {}
for place = 4, #KEYS do
    local at = 12 + 2 * (place - 4)
    table.insert(WIDER, {key = KEYS[place], most = tonumber(ARGV[at]), apart = tonumber(ARGV[at + 1])})
end

-- Longer than it takes to come from one wait to 100 failures in a row (NIST SP 800-63B-4 allows no more).
local KEEP_LOGIN = 90 * DAY
-- Longer than any wait of its.
local KEEP_ADDRESS = 2 * DAY

local function stored(key, field)
    return tonumber(redis.call('HGET', key, field)) or 0
end

local function text(number)
    return string.format('%.0f', number)
end

-- What is refused, for how long, how many failures there are, and whether that is news.
local function refusal(scope, key, milliseconds, failures)
    local ends = milliseconds and text(now + milliseconds) or 'reset'
    local news = redis.call('HGET', key, 'told') ~= ends
    if news then
        redis.call('HSET', key, 'told', ends)
    end
    return {
        'refused', scope, milliseconds and math.max(1, math.ceil(milliseconds / 1000)) or -1,
        failures or stored(key, 'n'), news and 1 or 0,
    }
end

-- The answer for a try that must not be evaluated, or nil.
local function refused()
    if GUESSABLE and stored(ALL, 'n') >= limits.all then
        return refusal('all', ALL, stored(ALL, 'until') - now)
    end
    if stored(LOGIN, 'n') >= limits.login_most then
        return refusal('login', LOGIN)
    end
    local login_left = stored(LOGIN, 'until') - now
    if login_left > 0 then
        return refusal('login', LOGIN, login_left)
    end
    local address_left = stored(ADDRESS, 'until') - now
    if address_left > 0 then
        return refusal('address', ADDRESS, address_left)
    end
    for _, network in ipairs(GUESSABLE and WIDER or {}) do
        local left = stored(network.key, 'until') - now
        local early = left - network.apart * (network.most - 1)
        if early > 0 then
            return refusal('address', network.key, early, math.ceil(left / network.apart))
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

-- The wider network's failures are forgotten at that time, or at once.
local function forgotten(key, at)
    if at <= now then
        redis.call('DEL', key)
        return
    end
    redis.call('HSET', key, 'until', text(at))
    redis.call('PEXPIRE', key, at - now)
end

local function count()
    if GUESSABLE and redis.call('HINCRBY', ALL, 'n', 1) == 1 then
        redis.call('HSET', ALL, 'until', text(now + limits.window))
        redis.call('PEXPIRE', ALL, limits.window)
    end
    add(LOGIN, KEEP_LOGIN, limits.login, limits.login_wait)
    add(ADDRESS, KEEP_ADDRESS, limits.address, limits.address_wait)
    redis.call('HINCRBY', ADDRESS, SHARE, 1)
    for _, network in ipairs(GUESSABLE and WIDER or {}) do
        redis.call('HINCRBY', network.key, SHARE, 1)
        forgotten(network.key, math.max(stored(network.key, 'until'), now) + network.apart)
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

-- What networks have of this login: it is theirs no more.
local function shared(key)
    local share = stored(key, SHARE)
    redis.call('HDEL', key, SHARE)
    return share
end

-- The counted try was right: the login's failures are forgotten, and of the networks' those that were this login's. Who
-- guesses at others' passwords must not clear the count by signing in as himself in between.
local function forgive()
    if GUESSABLE then
        take(ALL, 1)
    end
    redis.call('DEL', LOGIN)
    local share = shared(ADDRESS)
    if share > 0 then
        take(ADDRESS, share, limits.address)
    end
    for _, network in ipairs(WIDER) do
        share = shared(network.key)
        if share > 0 then
            forgotten(network.key, stored(network.key, 'until') - share * network.apart)
        end
    end
end
