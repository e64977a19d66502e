uncount()
note(RECORD, HOLDER, SAID)
return {'done'}
