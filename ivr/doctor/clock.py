"""Whether the clocks of worker, Asterisk and Redis agree: together they say when a mark ends."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from time import time

from ivr.config import Settings
from ivr.doctor.finding import NOT_LOOKED_AT, Finding, Grade, Kind, ok
from ivr.doctor.node import Node
from ivr.errors import AriError, ConfigError, StoreError
from ivr.store.link import Link

ASTERISK = Kind(
    "clock-asterisk", Grade.WARNING,
    "Asterisk's clock is not the worker's",
    "A mark ends on agents' phones by Asterisk's clock: too early, or too late.",
)  # fmt: skip
REDIS = Kind(
    "clock-redis", Grade.WARNING,
    "Redis's clock is not the worker's",
    "A mark ends by Redis's clock, at another moment than agents and the audit trail are told.",
)  # fmt: skip
FREE = Kind(
    "clock-free", Grade.ADVICE,
    "Nothing keeps this machine's clock right",
    "It drifts by seconds a day; the audit trail says when by it, and the codes of authenticator apps are good by it.",
)  # fmt: skip
KINDS = (ASTERISK, REDIS, FREE)

# Seconds. Asterisk tells whole ones, and each question takes a moment.
_MOST = 2.5
_CURE = ("timedatectl set-ntp true", "timedatectl timesync-status")
# adjtimex(2): what it returns where the clock is not kept right, and more bytes than struct timex has.
_TIME_ERROR = 5
_TIMEX_BYTES = 512


async def check_node(node: Node) -> list[Finding]:
    """Asterisk's clock against ours."""
    before = time()
    try:
        theirs = await node.ari.clock()
    except AriError:
        return [
            NOT_LOOKED_AT.found(
                node.about("clock"), "Asterisk does not tell its time", "date", "asterisk -rx 'core show uptime'"
            )
        ]
    # it tells the second that has begun
    return [_compared(ASTERISK, node.about("clock"), "Asterisk's", theirs + 0.5 - (before + time()) / 2)]


async def check(settings: Settings) -> list[Finding]:
    """Redis's clock against ours, and whether ours is kept right."""
    found = [FREE.found("clock", "the system says that it is not synchronised", *_CURE)] if not synchronised() else []
    try:
        link = Link.of(settings)
    except ConfigError:
        return found  # told elsewhere
    try:
        before = time()
        match await link.ask("TIME"):
            case [bytes() as seconds, bytes() as micros]:
                theirs = int(seconds) + int(micros) / 1e6
                found.append(_compared(REDIS, "clock", "Redis's", theirs - (before + time()) / 2))
            case _:
                pass
    except StoreError:
        pass
    finally:
        await link.close()
    return found


def _compared(kind: Kind, subject: str, whose: str, ahead: float) -> Finding:
    if abs(ahead) <= _MOST:
        return ok(subject, f"{whose} and ours agree")
    says = f"{whose} is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} ours"
    return kind.found(subject, says, "# on both machines:", *_CURE)


def _adjtimex() -> int:
    """What the system says of its clock; asked so, it changes nothing."""
    return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))


def synchronised(state: Callable[[], int] = _adjtimex) -> bool:
    """Whether something keeps this machine's clock right, as far as the system knows."""
    try:
        return state() != _TIME_ERROR
    except (AttributeError, OSError):
        return True
