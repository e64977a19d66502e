note(RECORD, HOLDER, SAID)
return locked() or {'granted'}
