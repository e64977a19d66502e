-- Behind the session's own arguments: ARGV 3 hash of the token that the proxy has given for it
if redis.call('HGET', KEYS[1], 'proxy') ~= ARGV[3] then
    return {'none'}
end
