-- How far a proof has come. What goes back, or behind an end, changes nothing.
--
-- The page's part of a proof: a hash with stage, keyed, shown, digits, seen, most, tries, until in
-- milliseconds, and late where it was denied behind another end.
local ENDS = {confirmed = true, denied = true, wrong = true, expired = true, failed = true}
local WAY = {asked = 0, sent = 1, delivered = 2, opened = 3}

local function follows(stage, next)
    if ENDS[stage] or stage == next then
        return false
    end
    if next == 'confirmed' or next == 'wrong' then
        return stage == 'opened'
    end
    return ENDS[next] or WAY[next] > WAY[stage]
end

-- Where it stands how far a proof has come: in the page's part. Of one that the page has nothing to do with it stands in the desk's,
-- where whoever has broken into the page cannot write.
local function part(page, desk)
    return redis.call('HEXISTS', desk, 'stage') == 1 and desk or page
end
