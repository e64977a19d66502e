"""The database: opening it, reading and writing in transactions, and the migrations of its schema.

Below `store` and `audit`, which each own their tables and may not import each other: an administrator's act and its
audit row are written in one transaction, so both take their connection from here.
"""

from ivr.database.engine import Database, hold
from ivr.database.prepared import Prepared
from ivr.database.vacuum import SMALL, Left

__all__ = ["SMALL", "Database", "Left", "Prepared", "hold"]
