"""From the desk to the proxy: a code, used once, that carries a session to another host; and the session as it is known there.

What the proxy's cookie holds is good for as long as the desk's session, and for nothing at the desk. Of code and token
Redis has the SHA-256 alone.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

from ivr.config import Desk
from ivr.errors import StoreError
from ivr.secret import Secret
from ivr.store.link import Link, Script
from ivr.store.pace import evenly, paces

_KEEP = Script("keep_hand_over")
_TAKE = Script("take_hand_over")
_OF = Script("clock", "evenly", "proxied", "session_of")

# Milliseconds: a browser goes on at once.
_LASTS = 30_000

# The tenant, so that it stands in every key; and 256 random bits.
_SESSION = _CODE = re.compile(r"(?P<tenant>[A-Za-z0-9_-]{1,40})\.[0-9a-f]{64}")
# The same, with where the session lies.
_TOKEN = re.compile(r"(?P<tenant>[A-Za-z0-9_-]{1,40})\.(?P<session>[0-9a-f]{64})\.[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Guest:
    """Whose session it is. `wait`: seconds, where this is one request too many."""

    tenant: str
    person: str
    wait: float | None = None


class Untaken(StrEnum):
    """Why a code gives no token."""

    OVER = "over"
    """There is none, or its session has ended."""
    OTHERS = "others"
    """It is for another browser, or for what this one had begun before."""


class Handovers:
    """On the Redis of the sessions. Every method is one round trip and raises `StoreError`: then nobody is let in."""

    def __init__(self, link: Link, prefix: str, desk: Desk) -> None:
        self._link = link
        self._prefix = prefix
        self._idle = desk.idle_minutes * 60_000

    async def keep(self, session: Secret, host: str, begun: str) -> Secret | None:
        """A code for this `host` and the browser that has begun there; None where the session is over.

        `begun`: the SHA-256, in hexadecimal digits, of what that browser holds.
        """
        signed_in = _SESSION.fullmatch(session.reveal())
        if signed_in is None:
            return None
        tenant = signed_in["tenant"]
        code, hashed = Secret(f"{tenant}.{secrets.token_hex(32)}"), _hashed(session)
        keys = [self._key("handover", tenant, _hashed(code)), self._key("session", tenant, hashed)]
        match await self._link.run(_KEEP, keys, host, begun, hashed, _LASTS):
            case [b"kept"]:
                return code
            case [b"none"]:
                return None
            case _:
                raise _strange(_KEEP)

    async def take(self, code: Secret, host: str, begun: Secret) -> Secret | Untaken:
        """The token for the browser that has `begun` at this host. The code is used up, whatever comes of it."""
        found = _CODE.fullmatch(code.reveal())
        if found is None:
            return Untaken.OVER
        tenant, mine = found["tenant"], Secret(secrets.token_hex(32))
        answer = await self._link.run(
            _TAKE, [self._key("handover", tenant, _hashed(code))],
            host, _hashed(begun), _hashed(mine), self._key("session", tenant, ""),
        )  # fmt: skip
        match answer:
            case [b"taken", bytes(session)]:
                return Secret.join([Secret(f"{tenant}.{session.decode()}."), mine])
            case [b"others"]:
                return Untaken.OTHERS
            case [b"none"]:
                return Untaken.OVER
            case _:
                raise _strange(_TAKE)

    async def of(self, token: Secret, *, per_minute: int, used: bool) -> Guest | None:
        """Whose it is; the session goes on from now where it is `used`: an open page alone is not a person at work. None where it is over.

        One request is counted of the `per_minute` that one person may make.
        """
        tenant, key, hashed = self._where(token)
        if tenant is None:
            return None
        answer = await self._link.run(
            _OF, [key], self._idle, int(used), hashed, f"{paces(self._prefix, 'proxy')}{tenant}:", *evenly(per_minute)
        )
        match answer:
            case [b"session", _, bytes(person), *_]:
                return Guest(tenant, person.decode())
            case [b"wait", bytes(person), bytes(microseconds)]:
                return Guest(tenant, person.decode(), int(microseconds) / 1_000_000)
            case [b"none"]:
                return None
            case _:
                raise _strange(_OF)

    async def lives(self, token: Secret) -> bool:
        """Whether it is anybody's yet. Nothing is counted, and the session goes on no longer by it."""
        tenant, key, hashed = self._where(token)
        if tenant is None:
            return False
        match await self._link.run(_OF, [key], self._idle, 0, hashed):
            case [b"session", *_]:
                return True
            case [b"none"]:
                return False
            case _:
                raise _strange(_OF)

    def _where(self, token: Secret) -> tuple[str | None, str, str]:
        """Tenant, session's key, and what that has of the token; None for what is no token of ours."""
        found = _TOKEN.fullmatch(token.reveal())
        if found is None:
            return None, "", ""
        hashed = _hashed(Secret(token.reveal().rpartition(".")[2]))
        return found["tenant"], self._key("session", found["tenant"], found["session"]), hashed

    def _key(self, kind: str, tenant: str, name: str) -> str:
        return f"{self._prefix}:{kind}:{tenant}:{name}"


def _hashed(token: Secret) -> str:
    return hashlib.sha256(token.reveal().encode(errors="replace")).hexdigest()


def _strange(script: Script) -> StoreError:
    return StoreError(f"Redis gave an unknown answer to {script.name}")
