-- What a caller is asked, as the page finds it: by the end of a link alone.
--
-- KEYS 1 the link; ARGV 1 what the names of what is asked begin with
local id = redis.call('GET', KEYS[1])
local ASKED = id and ARGV[1] .. id
local asked = ASKED and redis.call('HMGET', ASKED, 'shown', 'most', 'answers', 'denied')
local left = asked and asked[1] and asked[2] - (asked[3] or 0)

-- Put it where the worker takes it from, as long as what is asked is good.
local function pass_on(what)
    redis.call('RPUSH', ASKED .. ':heard', what)
    redis.call('PEXPIRE', ASKED .. ':heard', redis.call('PTTL', ASKED))
end
