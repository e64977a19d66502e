if not stage then
    return {'none'}
end
if follows(stage, 'denied') then
    go('denied')
    return {'denied'}
end
return {'over', stage}
