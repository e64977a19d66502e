-- ARGV 3 which proof the token is hashed for, 4 its MAC
if stage ~= 'confirmed' or id ~= ARGV[3] or redis.call('HGET', PROOF, 'late') or redis.call('HGET', PROOF, 'once') ~= ARGV[4] then
    return {'none'}
end
redis.call('HDEL', PROOF, 'once')
return {'spent'}
