"""How a proof reaches a person in a browser of theirs, which has agreed to it (Web Push)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import time
from typing import Protocol

import orjson
from structlog.typing import FilteringBoundLogger

from ivr.call.proof import Proof, Stage
from ivr.errors import NobodyThere, PushError, Unavailable
from ivr.lock.carry import sentence
from ivr.lock.proofports import Reach, Told
from ivr.secret import Personal, Secret
from ivr.store.pushes import Browser
from ivr.store.register import Customer


class Push(Protocol):
    """`ivr.push.web.WebPush`."""

    public: str

    def is_subscription(self, said: Secret) -> bool: ...

    async def tell(self, said: Secret, message: Secret, *, seconds: int) -> None: ...


class Pushes(Protocol):
    """`ivr.store.pushes.Pushes`: browsers of customers."""

    async def of(self, ref: str) -> Sequence[Browser]: ...

    async def has_phone(self, ref: str, phone: str, before: int) -> bool: ...

    async def keep(self, ref: str, said: Secret, phone: str, under: str, before: int) -> bool: ...

    async def forget(self, id: str) -> None: ...

    async def undo(self, ref: str, since: int) -> int: ...


class PushCarrier:
    """To all browsers of the customer's at once: one that is slow holds up no other. That a push service has taken it is not that it was shown: nothing tells of that."""

    def __init__(self, push: Push, pushes: Pushes, log: FilteringBoundLogger, wall: Callable[[], float] = time) -> None:
        self._push = push
        self._pushes = pushes
        self._log = log
        self._wall = wall

    async def reach_of(self, held: Customer, _: Personal | None, __: float) -> Reach | None:
        """None where no browser is the customer's, or a telephone number has changed behind the last: whose it was, somebody else may be now.

        Nor where they have agreed to messages of another key: a push service takes none of ours for them.
        """
        changed = max(held.since, default=0)
        ours = ("", self._push.public)
        names = [one.id for one in await self._pushes.of(held.ref) if one.since >= changed and one.under in ours]
        return Reach(Personal(" ".join(names)), None) if names else None

    def parts(self, proof: Proof, word: Secret) -> int:
        """None: no text goes."""
        del proof, word
        return 0

    async def carry(self, proof: Proof, to: Personal, word: Secret, told: Told) -> None:
        """Raises `PushError` where no push service takes it, or every browser has ended its subscription."""
        names, said = frozenset(to.reveal().split()), self._message(proof, word)
        here = [one for one in await self._pushes.of(proof.subject) if one.id in names]
        faults = await asyncio.gather(*(self._told(proof, one, said, told) for one in here))
        if all(fault is not None for fault in faults):
            raise PushError(next((fault for fault in faults if fault), "push: no browser is left"))

    async def _told(self, proof: Proof, one: Browser, said: Secret, told: Told) -> str | None:
        """None where its push service has taken it; else why not, empty where the browser has ended it."""
        try:
            await self._push.tell(one.said, said, seconds=max(proof.until - int(self._wall()), 1))
            await told(Stage.SENT)
        except NobodyThere:
            return await self._forgotten(proof, one)
        except Unavailable as error:
            return str(error)
        return None

    async def _forgotten(self, proof: Proof, one: Browser) -> str:
        try:
            await self._pushes.forget(one.id)
        except Unavailable as error:
            return str(error)
        self._log.info("push.ended", proof=proof.id)
        return ""

    def _message(self, proof: Proof, word: Secret) -> Secret:
        shown = proof.shown
        fields = {"title": shown.company, "body": sentence("proof", proof), "language": shown.language}
        return word.within(orjson.dumps({**fields, "link": "{link}"}).decode(), "{link}")
