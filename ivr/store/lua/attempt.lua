if lost(RECORD, HOLDER) then
    return {'taken'}
end
local no = locked()
if no then
    return no
end
count()
note(RECORD, HOLDER, SAID)
return {'granted'}
