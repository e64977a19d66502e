-- ARGV 2 for which of them the answer is sealed, 3 the answer
if not left or id ~= ARGV[2] then
    return {'none'}
end
-- counted before it is passed on: nobody floods the worker
if asked[4] or redis.call('HINCRBY', ASKED, 'answers', 1) > tonumber(asked[2]) then
    return {'over'}
end
pass_on(ARGV[3])
return {'passed'}
