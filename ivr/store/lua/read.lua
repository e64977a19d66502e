-- A person is about to read a customer's record.
--
-- KEYS 1 the person's customers, by when they were read last, in milliseconds; 2 that the person is stopped: which stop it is,
-- until the trail was told of it
-- ARGV 1 customer, 2 customers in an hour, 3 in a day
local READS, STOP, customer = KEYS[1], KEYS[2], ARGV[1]
-- Nobody is let off by waiting for as long as anybody would.
local KEEP_STOP = 90 * DAY

redis.call('ZREMRANGEBYSCORE', READS, '-inf', string.format('%.0f', now - DAY))
local hour = redis.call('ZCOUNT', READS, string.format('(%.0f', now - HOUR), '+inf')
local day = redis.call('ZCARD', READS)
local stop = redis.call('GET', STOP)
if stop then
    redis.call('PEXPIRE', STOP, KEEP_STOP)
    return {'stopped', 0, hour, day, stop}
end
local last = tonumber(redis.call('ZSCORE', READS, customer))
if not last then
    day = day + 1
end
if not last or last <= now - HOUR then
    hour = hour + 1
end
if hour > tonumber(ARGV[2]) or day > tonumber(ARGV[3]) then
    stop = string.format('%.0f', instant)
    redis.call('SET', STOP, stop, 'PX', KEEP_STOP)
    return {'stopped', 1, hour, day, stop}
end
redis.call('ZADD', READS, string.format('%.0f', now), customer)
redis.call('PEXPIRE', READS, DAY)
return {'counted', hour, day}
