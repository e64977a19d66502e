-- ARGV 3 which proof
local id = ARGV[3]
