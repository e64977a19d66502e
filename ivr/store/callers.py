"""What callers are asked on the public page, as the worker and the page see it in Redis.

All of it lies under P:page:, which is all that the page's own user at Redis reaches. What is shown, and what was keyed, is
encrypted with the page key; no digits that were spoken into a call stand there, in whatever form: whoever has the page's
key, and all of this, has nothing to compare a guess with.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from time import time

import orjson

from ivr.call.ports import Answer, Asking, NotMe
from ivr.errors import StoreError
from ivr.secret import Secret
from ivr.store.link import Link, Script
from ivr.store.pagekey import PageKey

_ASK = Script("ask_caller")
_DROP = Script("drop_caller")
_LOOK = Script("called", "look_caller")
_ANSWER = Script("called", "answer_caller")
_DENY = Script("called", "deny_caller")

SCRIPTS = (_ASK, _DROP)
"""Those of the worker."""

_LINK = re.compile(r"[A-Za-z0-9_-]{22}")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page shows. `since`: when the link was sent, in seconds since the epoch."""

    id: str
    asking: Asking
    since: int


@dataclass(frozen=True, slots=True)
class Over:
    """Nothing can be keyed there any more: it was denied, or keyed too often."""


class CallerLinks:
    """The worker's side: implements `call.ports.Proofs`. Every method is one round trip, and raises `StoreError`."""

    def __init__(self, link: Link, prefix: str, key: PageKey, *, clock: Callable[[], float] = time) -> None:
        """`clock`: seconds since the epoch."""
        self._link = link
        self._prefix = prefix
        self._key = key
        self._clock = clock

    async def ask(self, id: str, link: Secret, asking: Asking, *, seconds: int, answers: int) -> None:
        """As `call.ports.Proofs` has it."""
        shown = orjson.dumps({**asdict(asking), "since": int(self._clock())}).decode()
        keys = [_asked(self._prefix, id), _named(self._prefix, self._key, link)]
        sealed = self._key.seal("asking", Secret(shown), id)
        if await self._link.run(_ASK, keys, id, seconds * 1000, sealed, answers) != [b"asked"]:
            raise _strange(_ASK)

    async def heard(self, id: str) -> Answer | NotMe | None:
        """As `call.ports.Proofs` has it; raises `StoreError` also for what the page key has not sealed for this one."""
        match await self._link.ask("LPOP", _heard(self._prefix, id)):
            case None:
                return None
            case b"denied":
                return NotMe()
            case bytes(sealed):
                return _answer(self._key.unseal("answer", sealed, id))
            case _:
                raise _unreadable()

    async def withdraw(self, id: str) -> None:
        """As `call.ports.Proofs` has it."""
        if await self._link.run(_DROP, [_asked(self._prefix, id), _heard(self._prefix, id)]) != [b"dropped"]:
            raise _strange(_DROP)


class CallerPage:
    """The page's side, found by the end of the link alone. Every method is one round trip unless it says so, and raises `StoreError`."""

    def __init__(self, link: Link, prefix: str, key: PageKey) -> None:
        self._link = link
        self._prefix = prefix
        self._key = key

    async def look(self, link: Secret) -> Asked | Over | None:
        """What is asked there; None for a link that nobody has, or that is good no longer. Changes nothing."""
        match await self._visit(_LOOK, link):
            case [b"asked", bytes(id), bytes(shown)]:
                return self._read(id.decode(), shown)
            case answer:
                return _over(_LOOK, answer)

    async def answer(self, link: Secret, digits: Secret) -> bool | Over | None:
        """Pass on what was keyed; whether it was right is heard in the call. True: it was passed on; None as there. Two round trips."""
        asked = await self.look(link)
        if not isinstance(asked, Asked):
            return asked
        keyed = Secret(orjson.dumps({"link": link.reveal(), "digits": digits.reveal()}).decode())
        match await self._visit(_ANSWER, link, asked.id, self._key.seal("answer", keyed, asked.id)):
            case [b"passed"]:
                return True
            case answer:
                return _over(_ANSWER, answer)

    async def deny(self, link: Secret) -> bool | None:
        """The person says not to be calling; None as there. Saying so again changes nothing."""
        match await self._visit(_DENY, link):
            case [b"passed"]:
                return True
            case [b"none"]:
                return None
            case _:
                raise _strange(_DENY)

    async def _visit(self, script: Script, link: Secret, *more: str) -> list[object]:
        if _LINK.fullmatch(link.reveal()) is None:
            return [b"none"]
        return await self._link.run(script, [_named(self._prefix, self._key, link)], _asked(self._prefix, ""), *more)

    def _read(self, id: str, shown: bytes) -> Asked:
        try:
            found = orjson.loads(self._key.unseal("asking", shown, id).reveal())
            since = int(found.pop("since"))
            return Asked(id, Asking(**found), since)
        except (ValueError, TypeError, KeyError):
            raise _unreadable() from None


def _answer(text: Secret) -> Answer:
    try:
        found = orjson.loads(text.reveal())
        return Answer(Secret(str(found["link"])), Secret(str(found["digits"])))
    except (ValueError, TypeError, KeyError):
        raise _unreadable() from None


def _over(script: Script, answer: list[object]) -> Over | None:
    match answer:
        case [b"over"]:
            return Over()
        case [b"none"]:
            return None
        case _:
            raise _strange(script)


def _named(prefix: str, key: PageKey, link: Secret) -> str:
    """Where a link leads."""
    return f"{prefix}:page:callers:{key.mac('caller', link)}"


def _asked(prefix: str, id: str) -> str:
    return f"{prefix}:page:caller:{id}"


def _heard(prefix: str, id: str) -> str:
    return f"{_asked(prefix, id)}:heard"


def _strange(script: Script) -> StoreError:
    return StoreError(f"Redis gave an unknown answer to {script.name}")


def _unreadable() -> StoreError:
    return StoreError("Redis: what stands for what a caller is asked is none")
