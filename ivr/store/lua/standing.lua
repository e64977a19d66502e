if lost(RECORD, HOLDER) then
    return {'taken'}
end
note(RECORD, HOLDER, SAID)
return locked() or {'granted'}
