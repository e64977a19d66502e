-- The one clock of all workers: Redis's own, in milliseconds since the epoch.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- In microseconds, for what must not be taken for simultaneous.
local instant = time[1] * 1000000 + time[2]

local HOUR = 60 * 60 * 1000
local DAY = 24 * HOUR
