local no = locked()
if no then
    return no
end
count()
note(RECORD, HOLDER, SAID)
return {'granted'}
