return locked() or {'granted'}
