-- KEYS 7 whether the rise of failures over all calls was told of; ARGV 14 from how many on it is
if lost(RECORD, HOLDER) then
    return {'taken'}
end
note(RECORD, HOLDER, SAID)
local answer = locked() or {'granted'}
local failures = tonumber(redis.call('GET', ALL)) or 0
-- Told once in a window, by whichever worker sees it first; also where nobody is verified any more.
if failures >= math.min(tonumber(ARGV[14]), limits.all) and redis.call('SET', KEYS[7], failures, 'NX', 'PX', limits.all_window) then
    answer[#answer + 1] = 'alarm'
    answer[#answer + 1] = failures
end
return answer
