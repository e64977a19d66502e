uncount()
return {'done'}
