-- KEYS 1 texts over all, 2 to the country, 3 to the prefix
-- ARGV 1 to 3 texts in an hour over all, to the country, to the prefix; 4 messages of the text
-- It does not say whether that is news: this is a text behind another, and who asks for the next one is told.
for place, scope in ipairs({'all', 'country', 'prefix'}) do
    if used(KEYS[place]) >= tonumber(ARGV[place]) then
        return {'closed', scope}
    end
end
for place = 1, 3 do
    spend(KEYS[place], ARGV[4])
end
return {'spent'}
