"""The lock: no data of a customer, and no change of it, unless that customer is verified on a call of who asks, now."""

from ivr.lock.administration import Administration
from ivr.lock.current import Currents
from ivr.lock.glass import Glass
from ivr.lock.judge import NOBODYS, Judge
from ivr.lock.lock import FIELDS, Lock
from ivr.lock.marktokens import Issued, MarkTokens
from ivr.lock.matter import Matter
from ivr.lock.midcall import Midcall
from ivr.lock.ports import Visitor
from ivr.lock.reads import Reads
from ivr.lock.records import StoredRecords
from ivr.lock.review import OF_KIND, Kind, Question, Review
from ivr.lock.rows import Rows
from ivr.lock.signer import Signer, Signs
from ivr.lock.teamwords import Barred, Ended, Held, Lifted, Standing, Statistics, Watched
from ivr.lock.trailrows import Found, Noted, Place
from ivr.lock.watch import Watch
from ivr.lock.wiring import Locks
from ivr.lock.words import (
    Begun,
    Channel,
    Current,
    Denied,
    Direction,
    Done,
    Dropped,
    Granted,
    Keying,
    Offered,
    Reason,
    Record,
    State,
    Value,
    Why,
)

__all__ = [
    "FIELDS",
    "NOBODYS",
    "OF_KIND",
    "Administration",
    "Barred",
    "Begun",
    "Channel",
    "Current",
    "Currents",
    "Denied",
    "Direction",
    "Done",
    "Dropped",
    "Ended",
    "Found",
    "Glass",
    "Granted",
    "Held",
    "Issued",
    "Judge",
    "Keying",
    "Kind",
    "Lifted",
    "Lock",
    "Locks",
    "MarkTokens",
    "Matter",
    "Midcall",
    "Noted",
    "Offered",
    "Place",
    "Question",
    "Reads",
    "Reason",
    "Record",
    "Review",
    "Rows",
    "Signer",
    "Signs",
    "Standing",
    "State",
    "Statistics",
    "StoredRecords",
    "Value",
    "Visitor",
    "Watch",
    "Watched",
    "Why",
]
