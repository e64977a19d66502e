if not stage then
    return {'none'}
end
return seen()
