"""Webhooks: others are told what becomes of calls.

The audit trail is the source: what is told there is durable before anything comes of it, and no call waits for who is told.
One process at a time reads it on from where it was read, and puts a message for each receiver into the database, in the
transaction that notes how far it has read. From there it is sent until it is taken.
"""

from ivr.hooks.post import Post, secrets_of_hook

__all__ = ["Post", "secrets_of_hook"]
