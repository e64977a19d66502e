forgive()
return {'forgiven'}
