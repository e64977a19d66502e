uncount()
-- Not sooner: right it was, whoever runs the call now.
if lost(RECORD, HOLDER) then
    return {'taken'}
end
note(RECORD, HOLDER, SAID)
return {'done'}
