"""Back-ups: what the database holds in an encrypted file, and back again.

A back-up is two files. The one is written once and may be kept for years: customers, sealed with their data keys and without
their indexes, and the audit trail. The other has the data keys, wrapped, and is replaced by each back-up: it opens every older
one. Whoever was erased is not in it any more, and so in no back-up to be read, as long as older copies of that small
file are not kept.
"""
