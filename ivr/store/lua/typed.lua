-- KEYS 1 of the call, 2 of the person; ARGV 1 how many of the call, 2 of the person in an hour. What is refused is not counted.
local function many(key, most)
    return tonumber(redis.call('GET', key) or 0) >= tonumber(most)
end

if many(KEYS[1], ARGV[1]) or many(KEYS[2], ARGV[2]) then
    return {'many'}
end
for index, expires in ipairs({DAY, HOUR}) do
    if redis.call('INCR', KEYS[index]) == 1 then
        redis.call('PEXPIRE', KEYS[index], expires)
    end
end
return {'counted'}
