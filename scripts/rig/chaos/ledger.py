"""The account of one fault: what callers, the dialplan, the marks and the audit trail say, held against each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from rig.chaos.callers import Call

VERIFIED = "verified"
_REFUSED = frozenset({"refused", "locked"})
_UNVERIFIED = frozenset({"timeout", "unavailable"})


@dataclass(frozen=True)
class Passed:
    """A channel's way through the dialplan; `status` is empty where it never came back from the application."""

    channel: str
    number: str
    status: str = ""


@dataclass(frozen=True)
class Row:
    """A row `verify` of the audit trail, or `void`: one that says that there is no mark, though the former verified."""

    channel: str
    outcome: str
    void: bool = False


@dataclass(frozen=True)
class Outage:
    """When Asterisk was killed, and when it had booted again; seconds since 1970."""

    since: float
    until: float

    def took(self, call: Call) -> bool:
        """Whether this call was under way, or begun, while there was no Asterisk."""
        return call.dialled < self.until and (call.over is None or call.over > self.since)


@dataclass(frozen=True)
class Account:
    """What became of a fault's calls. All from `lost` on must be 0.

    verified, refused, unverified: the dialplan went on so, and told the caller; unverified is timed out or unavailable.
    left: the caller hung up first. with_asterisk: the call ended without a word because Asterisk itself was killed.
    untold: calls that the trail has no row of. waited: the longest call, in seconds. struck: how often the workers' logs
    tell of the fault.

    lost: none of these. unearned: verified who had not keyed what is right. unaudited: marks without a row that says so.
    unknown_rows: rows without a call. doubled: rows that tell of one call twice. contradicting: calls of which
    the last row says verified, and the dialplan otherwise, or the other way round. left_over: channels and bridges.
    marks_left: marks and records in Redis of calls that are over. unwritten: calls that a worker was done with, and that
    the trail has no row of.
    """

    fault: str
    calls: int
    verified: int
    refused: int
    unverified: int
    left: int
    with_asterisk: int
    untold: int
    waited: float
    struck: int
    lost: int
    unearned: int
    unaudited: int
    unknown_rows: int
    doubled: int
    contradicting: int
    left_over: int
    marks_left: int
    unwritten: int

    @property
    def good(self) -> bool:
        """Whether all that must be 0 is, the fault was one, and there was something to break."""
        return not any(getattr(self, name) for name in ZEROS) and self.struck > 0 and self.verified > 0


ZEROS = tuple(field.name for field in fields(Account))[10:]
"""What must be 0."""


def account(
    fault: str,
    calls: Sequence[Call],
    passed: Sequence[Passed],
    marked: Iterable[str],
    rows: Sequence[Row],
    *,
    outage: Outage | None = None,
    struck: int = 1,
    left_over: int = 0,
    marks_left: int = 0,
    ended: Iterable[str] = (),
) -> Account:
    """Hold them against each other. `marked`: channels whose mark was seen in Redis; `ended`: those that a worker was done with."""
    died = [call for call in calls if not _told(call) and outage is not None and outage.took(call)]
    lost = [call for call in calls if not _told(call) and call not in died]
    earning = {call.number for call in calls if call.kind.earns}
    fates = Counter(call.fate for call in calls)
    said = {one.channel: one for one in passed}
    last = {row.channel: row.outcome for row in rows}
    true = {row.channel for row in rows if row.outcome == VERIFIED}
    verified = {one.channel for one in passed if one.status == VERIFIED}
    twice = Counter((row.channel, row.void) for row in rows)
    # a caller may have left between the row and the dialplan
    told = {one.channel for one in passed if one.status}
    return Account(
        fault=fault,
        calls=len(calls),
        verified=fates[VERIFIED],
        refused=sum(fates[fate] for fate in _REFUSED),
        unverified=sum(fates[fate] for fate in _UNVERIFIED),
        left=fates["left"],
        with_asterisk=len(died),
        untold=len(said.keys() - last.keys()),
        waited=max((call.over - call.dialled for call in calls if call.over and call not in died), default=0.0),
        struck=struck,
        lost=len(lost),
        unearned=sum(call.fate == VERIFIED and not call.kind.earns for call in calls)
        + sum(one.status == VERIFIED and one.number not in earning for one in passed),
        unaudited=len((verified | set(marked)) - true),
        unknown_rows=sum(row.channel not in said for row in rows),
        doubled=sum(count - 1 for count in twice.values()),
        contradicting=sum((last.get(channel) == VERIFIED) != (said[channel].status == VERIFIED) for channel in told),
        left_over=left_over,
        marks_left=marks_left,
        unwritten=len((said.keys() & set(ended)) - last.keys()),
    )


def total(accounts: Sequence[Account]) -> Account:
    """All of them in one."""
    sums = {
        field.name: sum(getattr(one, field.name) for one in accounts)
        for field in fields(Account)
        if field.name not in ("fault", "waited")
    }
    return Account(fault="all", waited=max((one.waited for one in accounts), default=0.0), **sums)


def _told(call: Call) -> bool:
    return call.fate in {VERIFIED, *_REFUSED, *_UNVERIFIED} or (call.fate == "left" and call.kind.leaves)
