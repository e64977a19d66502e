"""What came in at the public address for desk or worker: gateways' reports, call-backs. The page passes it on, and cannot read whether it is true.

It is encrypted by the page's key: a text's receipt has a telephone number in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from ivr.errors import InputError, StoreError
from ivr.secret import Secret
from ivr.store.answered import strange
from ivr.store.link import Link, Script
from ivr.store.pagekey import PageKey

_POST = Script("post")

CHECK, PUSH = "/check", "/push"
"""The `way` of what the page itself asks, or lets in: no address that anybody can post to has it."""

MOST_BYTES = 8 * 1024
"""The longest body that is passed on."""

# Bytes of one as it lies in Redis: a body of the longest, with what belongs to it, and a third more by Base64.
_MOST_SEALED = 16 * 1024
# What waits to be taken: a desk that is away for minutes finds it, and a flood takes 8 MB of memory at most.
_MOST = 500
# Milliseconds behind the last one after which nobody will take them.
_LIFE = 15 * 60 * 1000
# Seconds of one wait; a request to Redis may take no longer than its limit.
_WAIT = 1.0


@dataclass(frozen=True, slots=True)
class Posted:
    """One request, not verified in any way. `way`: of the address `/in/WAY/SECRET`; `path`: with the query, as it was sent; `at`: seconds since the epoch.

    `headers` are those that somebody reads, their names in small letters.
    """

    way: str
    secret: Secret
    path: Secret
    headers: Mapping[str, str]
    body: Secret
    at: float


class PostBox:
    """Both ends of it. Every method is one round trip and raises `StoreError`."""

    def __init__(self, link: Link, prefix: str, key: PageKey, *, seconds: float = 2.0, most: int = _MOST) -> None:
        """`seconds`: the limit of a request to Redis, of which a wait takes half at most; `most`: how many may wait."""
        self._link = link
        self._list = f"{prefix}:page:in"
        self._key = key
        self._most = most
        self._wait = min(_WAIT, seconds / 2)

    async def put(self, posted: Posted) -> bool:
        """The page's end. False, and it is not kept, where so many wait that nobody seems to take them.

        Raises `InputError` where it is too long: what has to be escaped takes six times as much.
        """
        sealed = self._sealed(posted)
        if len(sealed) > _MOST_SEALED:
            raise InputError(f"what came in: more than {_MOST_SEALED} bytes as it is kept")
        match await self._link.run(_POST, [self._list], sealed, self._most, _LIFE):
            case [b"kept"]:
                return True
            case [b"full"]:
                return False
            case _:
                raise strange(_POST)

    async def take(self) -> Posted | None:
        """Desk's and worker's end: the oldest one, which then nobody else gets; None where none came within a second."""
        match await self._link.ask("BLPOP", self._list, f"{self._wait:.3f}"):
            case [_, bytes(sealed)]:
                return self._read(sealed)
            case None:
                return None
            case _:
                raise strange(_POST)

    def _sealed(self, posted: Posted) -> str:
        return self._key.seal("posted", Secret(_written(posted)))

    def _read(self, sealed: bytes) -> Posted:
        try:
            found = orjson.loads(self._key.unseal("posted", sealed).reveal())
        except ValueError:
            found = None
        match found:
            case {
                "way": str(way), "secret": str(secret), "path": str(path), "headers": dict(headers), "body": str(body),
                "at": int() | float() as at,
            } if all(isinstance(value, str) for value in headers.values()):  # fmt: skip
                return Posted(way, Secret(secret), Secret(path), headers, Secret(body), at)
            case _:
                raise StoreError("Redis: what stands for something that came in is none")


def _written(posted: Posted) -> str:
    return str(
        orjson.dumps(
            {
                "way": posted.way, "secret": posted.secret.reveal(), "path": posted.path.reveal(),
                "headers": dict(posted.headers), "body": posted.body.reveal(), "at": posted.at,
            }
        ),
        "utf-8",
    )  # fmt: skip
