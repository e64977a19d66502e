if not stage then
    return {'none'}
end
if follows(stage, 'opened') then
    go('opened')
end
return seen()
