"""What people want on the public page, passed on to a desk; and what it has the page show them. All of it is encrypted with the page key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import time

from ivr.errors import StoreError
from ivr.store.answered import strange
from ivr.store.introduction import View, Wish
from ivr.store.link import Link, Script
from ivr.store.pagekey import PageKey

_POST = Script("post")

# What waits to be taken, and milliseconds behind the last of them after which nobody waits for it before the page.
_MOST, _WISH_LIFE = 500, 15_000
_DONE_LIFE = 15_000
# Seconds of one wait for the next; a request to Redis may take no longer than its limit.
_WAIT = 1.0


@dataclass(frozen=True, slots=True)
class Kind:
    """What is wanted: the name of the list in Redis, that of what is shown, and what seals are for."""

    list: str
    name: str
    wish: str
    view: str


PERSON = Kind("persons", "person", "wish", "view")
"""Of people who show each other who they are."""
BACK = Kind("backs", "back", "back/wish", "back/view")
"""Of whoever was shown who the company is, and shows who they are."""


class PageWishes:
    """The page's end. Every method is one round trip, and raises `StoreError`."""

    def __init__(self, link: Link, prefix: str, key: PageKey, kind: Kind) -> None:
        self._link = link
        self._prefix = prefix
        self._key = key
        self._kind = kind

    async def want(self, wish: Wish) -> bool:
        """Pass it on; False where so much waits that nobody seems to take it."""
        sealed = self._key.seal(self._kind.wish, wish.written())
        match await self._link.run(_POST, [_wishes(self._prefix, self._kind)], sealed, _MOST, _WISH_LIFE):
            case [b"kept"]:
                return True
            case [b"full"]:
                return False
            case _:
                raise strange(_POST)

    async def done(self, wish: Wish) -> bool:
        """Whether it was taken, and what is to be shown for it is there."""
        return await self._link.ask("GET", _done(self._prefix, self._kind, wish.id)) is not None

    async def look(self, name: str) -> View | None:
        """What is shown to this browser, or for this link; None where nothing is known of it. Changes nothing."""
        match await self._link.ask("GET", _view(self._prefix, self._kind, name)):
            case bytes(sealed):
                return View.read(self._key.unseal(self._kind.view, sealed, name))
            case None:
                return None
            case _:
                raise StoreError("Redis: what stands for what a person is shown is nothing of the kind")


class DeskWishes:
    """The desk's end. Every method is one round trip, and raises `StoreError`."""

    def __init__(
        self, link: Link, prefix: str, key: PageKey, kind: Kind, *, seconds: float = 2.0, clock: Callable[[], float] = time
    ) -> None:  # fmt: skip
        """`seconds`: the limit of a request to Redis; `clock`: seconds since the epoch."""
        self._link = link
        self._prefix = prefix
        self._key = key
        self._kind = kind
        self._wait = min(_WAIT, seconds / 2)
        self._clock = clock

    async def take(self) -> Wish | None:
        """The oldest one, which then nobody else gets; None where none came within a second."""
        match await self._link.ask("BLPOP", _wishes(self._prefix, self._kind), f"{self._wait:.3f}"):
            case [_, bytes(sealed)]:
                return Wish.read(self._key.unseal(self._kind.wish, sealed))
            case None:
                return None
            case _:
                raise StoreError("Redis: what stands for something that a person wants is nothing of the kind")

    async def done(self, wish: Wish) -> None:
        """What is to be shown for it is there."""
        await self._link.ask("SET", _done(self._prefix, self._kind, wish.id), "1", "PX", _DONE_LIFE)

    async def show(self, name: str, view: View, seconds: float | None = None) -> None:
        """To this browser, or for this link, until the end of it, or so many seconds."""
        life = self._left(view.until) if seconds is None else round(seconds * 1000)
        sealed = self._key.seal(self._kind.view, view.written(), name)
        await self._link.ask("SET", _view(self._prefix, self._kind, name), sealed, "PX", life)

    async def hide(self, name: str) -> None:
        """Nothing is known of it any more."""
        await self._link.ask("DEL", _view(self._prefix, self._kind, name))

    def _left(self, until: int) -> int:
        """Milliseconds; what has ended is kept for a moment, so that it can be read that it has."""
        return max(round((until - self._clock()) * 1000), 1000)


def _wishes(prefix: str, kind: Kind) -> str:
    return f"{prefix}:page:{kind.list}"


def _done(prefix: str, kind: Kind, id: str) -> str:
    return f"{prefix}:page:{kind.name}:done:{id}"


def _view(prefix: str, kind: Kind, name: str) -> str:
    return f"{prefix}:page:{kind.name}:{name}"
