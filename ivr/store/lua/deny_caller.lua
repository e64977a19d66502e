if not left then
    return {'none'}
end
if not asked[4] then
    redis.call('HSET', ASKED, 'denied', '1')
    pass_on('denied')
end
return {'passed'}
