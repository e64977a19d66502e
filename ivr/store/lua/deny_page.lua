if not stage then
    return {'none'}
end
if follows(stage, 'denied') then
    go('denied')
    return {'denied'}
end
-- Behind another end too it is said to the desk, once: whoever was told that all is well may see later that it is not.
if stage ~= 'denied' and not redis.call('HGET', PROOF, 'late') then
    redis.call('HSET', PROOF, 'late', '1')
    tell()
end
return {'over', stage}
