local no = locked()
if no then
    return no
end
count()
return {'granted'}
