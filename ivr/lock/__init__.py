"""The lock: no data of a customer, and no change of it, unless that customer is verified on a call of who asks, now."""

from ivr.lock.current import Currents
from ivr.lock.glass import Glass
from ivr.lock.judge import Judge
from ivr.lock.lock import FIELDS, Lock
from ivr.lock.reads import Reads
from ivr.lock.records import StoredRecords
from ivr.lock.rows import Rows
from ivr.lock.wiring import Locks
from ivr.lock.words import (
    Channel,
    Current,
    Denied,
    Direction,
    Done,
    Granted,
    Lifted,
    Reason,
    Record,
    Standing,
    State,
    Value,
)

__all__ = [
    "FIELDS",
    "Channel",
    "Current",
    "Currents",
    "Denied",
    "Direction",
    "Done",
    "Glass",
    "Granted",
    "Judge",
    "Lifted",
    "Lock",
    "Locks",
    "Reads",
    "Reason",
    "Record",
    "Rows",
    "Standing",
    "State",
    "StoredRecords",
    "Value",
]
