"""How many different customers' records each person has read, in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ivr.errors import StoreError
from ivr.store.link import Link, Script

_READ = Script("clock", "read")
_READS_OF = Script("clock", "reads_of")
_WARNED = Script("clock", "warned")
_TOLD = Script("told")

_HOUR = 3_600_000
# What stands for a stop or a warning when the trail was told of it.
_KNOWN = b"told"


@dataclass(frozen=True, slots=True)
class Counted:
    """Different customers in the last hour and day, the one that is about to be read among them."""

    hour: int
    day: int


@dataclass(frozen=True, slots=True)
class Notice:
    """A stop or a warning. `first`: it begins now; `untold`: which one it is, until the trail was told of it, then empty."""

    first: bool
    untold: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """No more is read until it is lifted."""

    notice: Notice
    hour: int
    day: int


class RedisReads:
    """Implements `lock.ports.Counts`. Persons are named by tenant and id. Any method raises `StoreError`.

    A stop outlives what it was counted from; it is forgotten after 90 days in which nothing was tried.
    """

    def __init__(self, link: Link, prefix: str) -> None:
        self._link = link
        self._prefix = prefix

    async def count(self, person: str, ref: str, *, hour: int, day: int) -> Counted | Stopped:
        """Count one read, unless it would be more customers in an hour, or a day, than these: then the person is stopped."""
        match await self._link.run(_READ, self._keys(person), ref, hour, day):
            case [b"counted", int(in_hour), int(in_day)]:
                return Counted(in_hour, in_day)
            case [b"stopped", int(first), int(in_hour), int(in_day), bytes(which)]:
                return Stopped(_notice(first, which), in_hour, in_day)
            case _:
                raise _strange(_READ)

    async def of(self, persons: Sequence[str]) -> Sequence[tuple[int, int, bool, bool]]:
        """Of each: how many in an hour, how many in a day, whether stopped, and whether warned of."""
        keys = [key for person in persons for key in (*self._keys(person), self._warned(person))]
        answer = await self._link.run(_READS_OF, keys) if keys else [b"read"]
        numbers = [number for number in answer[1:] if isinstance(number, int)]
        if len(numbers) != 4 * len(persons):
            raise _strange(_READS_OF)
        each = (numbers[at : at + 4] for at in range(0, len(numbers), 4))
        return [(hour, day, stop == 1, warned == 1) for hour, day, stop, warned in each]

    async def warn(self, person: str) -> Notice:
        """The warning of this person; for an hour it is the same."""
        match await self._link.run(_WARNED, [self._warned(person)], _HOUR):
            case [b"warned", int(first), bytes(which)]:
                return _notice(first, which)
            case _:
                raise _strange(_WARNED)

    async def told(self, person: str, which: str) -> None:
        """The trail was told of this stop, or of this warning."""
        await self._link.run(_TOLD, [self._keys(person)[1], self._warned(person)], which)

    async def lift(self, person: str) -> None:
        """Begin the counts anew."""
        await self._link.ask("DEL", *self._keys(person), self._warned(person))

    def _keys(self, person: str) -> list[str]:
        return [f"{self._prefix}:reads:of:{person}", f"{self._prefix}:reads:stop:{person}"]

    def _warned(self, person: str) -> str:
        return f"{self._prefix}:reads:warned:{person}"


def _notice(first: int, which: bytes) -> Notice:
    return Notice(first == 1, "" if which == _KNOWN else which.decode())


def _strange(script: Script) -> StoreError:
    return StoreError(f"Redis gave an unknown answer to {script.name}")
