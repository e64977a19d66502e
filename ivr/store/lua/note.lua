-- KEYS 1 record; ARGV 1 holder, 2 how far the call is
if lost(KEYS[1], ARGV[1]) then
    return {'taken'}
end
note(KEYS[1], ARGV[1], ARGV[2])
return {'done'}
