local no = refused()
if no then
    return no
end
-- Counted before it is compared: where Redis has no memory left to count in, nothing is evaluated.
local failures = stored(LOGIN, 'n')
count()
return {'granted', failures, instant}
