"""How far the person is who shows who they are, behind a proof: what desks keep of it, where the page's user at Redis does not reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from time import time

import orjson

from ivr.errors import StoreError
from ivr.store.answered import strange
from ivr.store.link import Link, Script
from ivr.store.pages import KEPT

_WRITE = Script("write_person")

# Desks that change the same one at once are few, and each change is a moment's.
_TIMES = 20


class BackStage(StrEnum):
    """How far it is."""

    IDENTIFYING = "identifying"
    SETTLING = "settling"
    """They have shown who they are, and it is being written down."""
    KNOWN = "known"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Back:
    """Of one proof; what was begun last counts. `session`: of the browser that has begun it, keyed hash of what it has.

    `round` is what this one is called in the audit trail, `began` how often one was begun, `tried` how often a code was keyed; `agent`: the channel of whoever is talked
    with. `nonce`: keyed hash of what the app brings back to that browser alone; `qr`: it was begun by a picture, and brings nothing back.
    `brought`: it was; `done`: the provider says who it is, and that is on record. `why`: it is refused. `mark`: the nonce of the one that
    was placed. `until`: when it is over by itself, in seconds since the epoch, where nothing comes of it.
    """

    proof: str
    session: str
    policy: str
    step: str
    round: str
    agent: str
    stage: BackStage = BackStage.IDENTIFYING
    began: int = 1
    tried: int = 0
    nonce: str = ""
    qr: bool = False
    brought: bool = False
    done: bool = False
    why: str = ""
    mark: str = ""
    until: int = 0

    @property
    def complete(self) -> bool:
        """Whether it is known who that is, and that it is the one before this browser, as far as can be seen."""
        return self.done and (self.brought or not self.nonce)


class Backs:
    """Each method raises `StoreError`."""

    def __init__(self, link: Link, prefix: str, wall: Callable[[], float] = time) -> None:
        """`wall`: seconds since the epoch."""
        self._link = link
        self._prefix = prefix
        self._wall = wall

    async def of(self, proof: str) -> Back | None:
        """That of this proof; None where nobody has begun."""
        return (await self._read(proof))[0]

    async def change(self, proof: str, how: Callable[[Back | None], Back | None]) -> Back | None:
        """What it has become; None where `how` leaves it as it is."""
        for _ in range(_TIMES):
            before, version = await self._read(proof)
            if (now := how(before)) is None:
                return None
            said = orjson.dumps(asdict(now))
            # as long as anybody is told of the proof, and the calls that have one
            match await self._link.run(_WRITE, [self._key(proof)], version, said, 2 * KEPT * 1000):
                case [b"written"]:
                    return now
                case [b"other"]:
                    continue
                case _:
                    raise strange(_WRITE)
        raise StoreError("Redis: what a person shows is changed by too many at once")

    async def _read(self, proof: str) -> tuple[Back | None, str]:
        match await self._link.ask("HMGET", self._key(proof), "version", "said"):
            case [bytes(version), bytes(said)]:
                try:
                    found = orjson.loads(said)
                    return self._now(Back(**{**found, "stage": BackStage(found["stage"])})), version.decode()
                except (ValueError, TypeError, KeyError):
                    raise StoreError("Redis: what stands for what a person shows is nothing of the kind") from None
            case _:
                return None, ""

    def _now(self, back: Back) -> Back:
        """A part that failed, or a desk that was stopped, ends nothing: then time does."""
        going_on = back.stage in (BackStage.IDENTIFYING, BackStage.SETTLING)
        return (
            replace(back, stage=BackStage.REFUSED, why="over") if going_on and 0 < back.until < self._wall() else back
        )

    def _key(self, proof: str) -> str:
        return f"{self._prefix}:back:{proof}"
