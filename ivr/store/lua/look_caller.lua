if not left then
    return {'none'}
end
if asked[4] or left <= 0 then
    return {'over'}
end
return {'asked', id, asked[1]}
