"""Who is signed in, in Redis: a session lives as long as it is used, ends at once where it is ended, and never outlives its hours.

Of the token that a browser holds, Redis has the SHA-256 alone; the token that guards against forged requests is made of
the first one, and stands nowhere.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

import orjson

from ivr.config import Desk
from ivr.errors import StoreError
from ivr.secret import Secret
from ivr.staff import Denial, Denied, LastSignIn, SignedIn
from ivr.store.link import Link, Script

_BEGIN = Script("clock", "session_begin")
_OF = Script("clock", "session_of")
_END = Script("session_end")
_END_ALL = Script("clock", "session_end_all")

# The tenant, so that it stands in every key; and 256 random bits.
_TOKEN = re.compile(r"(?P<tenant>[A-Za-z0-9_-]{1,40})\.[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in. `id` may be shown; `csrf` stands in each form of this session.

    `begun`, `seen`: seconds since the epoch; `proved`: when this person last showed who they are, 0 where nobody says.
    `last`: the sign-in before, to be shown. `elsewhere`: whether it was a provider who asked.
    """

    id: str
    person: str
    tenant: str
    csrf: Secret
    begun: float
    seen: float
    last: LastSignIn | None = None
    proved: float = 0.0
    elsewhere: bool = False


class Sessions:
    """On the same Redis as `RedisLive`. Every method is one round trip and raises `StoreError`: then nobody is signed in."""

    def __init__(self, link: Link, prefix: str, desk: Desk) -> None:
        self._link = link
        self._prefix = prefix
        self._idle = desk.idle_minutes * 60_000
        self._most = desk.session_hours * 3_600_000

    async def begin(self, signed_in: SignedIn) -> tuple[Secret, Session] | Denied:
        """A new session, and the token for the browser. `Denied`: all were ended since this sign-in began."""
        person = signed_in.person
        token, named = Secret(f"{person.tenant}.{secrets.token_hex(32)}"), secrets.token_hex(8)
        last = signed_in.last
        written = b"" if last is None else orjson.dumps([last.at, last.place, last.failures])
        answer = await self._link.run(
            _BEGIN,
            [*self._keys(person.tenant, _hashed(token), person.id), self._key("ended", person.tenant, person.id)],
            named, person.id, _hashed(token), self._idle, self._most, signed_in.since, written,
            b"" if signed_in.age is None else round(signed_in.age * 1000), int(signed_in.elsewhere),
        )  # fmt: skip
        match answer:
            case [b"begun", int(now)]:
                at = now / 1000
                proved = 0.0 if signed_in.age is None else (now - round(signed_in.age * 1000)) / 1000
                return token, Session(
                    named, person.id, person.tenant, _csrf(token), at, at, last, proved, signed_in.elsewhere
                )
            case [b"ended"]:
                return Denied(Denial.ENDED)
            case _:
                raise _strange(_BEGIN)

    async def of(self, token: Secret, *, used: bool = True) -> Session | None:
        """The session of this token. `used`: its idle time begins anew; not so where a page asks by itself, unless its person talks."""
        tenant = _tenant(token)
        if tenant is None:
            return None
        answer = await self._link.run(_OF, [self._key("session", tenant, _hashed(token))], self._idle, int(used))
        match answer:
            case [b"session", bytes(named), bytes(person), bytes(last), int(begun), int(seen), int(proved), int(how)]:
                return Session(
                    named.decode(), person.decode(), tenant, _csrf(token), begun / 1000, seen / 1000, _last(last),
                    proved / 1000, how == 1,
                )  # fmt: skip
            case [b"none"]:
                return None
            case _:
                raise _strange(_OF)

    async def lives(self, tenant: str, hashed: str, *, used: bool = False) -> tuple[str, str] | None:
        """Identifier and person of the session whose token has this SHA-256 (`latest_of`); None where it has ended."""
        answer = await self._link.run(_OF, [self._key("session", tenant, hashed)], self._idle, int(used))
        match answer:
            case [b"session", bytes(named), bytes(person), *_]:
                return named.decode(), person.decode()
            case [b"none"]:
                return None
            case _:
                raise _strange(_OF)

    async def latest_of(self, tenant: str, person: str) -> str | None:
        """The SHA-256 of the token of this person's newest session that lives; None where nobody is signed in."""
        for one in await self._of(tenant, person):
            if await self.lives(tenant, one) is not None:
                return one
        return None

    async def has(self, tenant: str, person: str, id: str) -> bool:
        """Whether this person's session of this identifier lives."""
        for one in await self._of(tenant, person):
            if await self.lives(tenant, one) == (id, person):
                return True
        return False

    async def end(self, token: Secret) -> bool:
        """End this one; whether there was such a session."""
        tenant = _tenant(token)
        if tenant is None:
            return False
        match await self._link.run(
            _END, [self._key("session", tenant, _hashed(token))], self._key("sessions", tenant, ""), _hashed(token)
        ):
            case [b"ended", int(count)]:
                return count > 0
            case _:
                raise _strange(_END)

    async def end_all(self, tenant: str, person: str, *, but: Secret | None = None) -> int:
        """End all of this person, those too that are about to begin, `but` the one with this token; how many there were."""
        keys = [self._key("sessions", tenant, person), self._key("ended", tenant, person)]
        spared = "" if but is None else _hashed(but)
        match await self._link.run(_END_ALL, keys, self._key("session", tenant, ""), self._most, spared):
            case [b"ended", int(count)]:
                return count
            case _:
                raise _strange(_END_ALL)

    async def _of(self, tenant: str, person: str) -> list[str]:
        """The SHA-256 of the tokens of this person's sessions, the newest first; some may have ended."""
        match await self._link.ask("ZRANGE", self._key("sessions", tenant, person), 0, -1):
            case [*hashes]:
                return [one.decode() for one in reversed(hashes) if isinstance(one, bytes)]
            case _:
                raise StoreError("Redis gave no list of sessions")

    def _keys(self, tenant: str, hashed: str, person: str) -> list[str]:
        return [self._key("session", tenant, hashed), self._key("sessions", tenant, person)]

    def _key(self, kind: str, tenant: str, name: str) -> str:
        return f"{self._prefix}:{kind}:{tenant}:{name}"


def _tenant(token: Secret) -> str | None:
    """None for what is no token of ours."""
    found = _TOKEN.fullmatch(token.reveal())
    return None if found is None else found["tenant"]


def _hashed(token: Secret) -> str:
    return hashlib.sha256(token.reveal().encode()).hexdigest()


def _csrf(token: Secret) -> Secret:
    return Secret(hashlib.sha256(b"csrf " + token.reveal().encode()).hexdigest())


def _last(written: bytes) -> LastSignIn | None:
    if not written:
        return None
    try:
        at, place, failures = orjson.loads(written)
        return LastSignIn(at, place, failures)
    except (ValueError, TypeError):
        raise StoreError("Redis: what stands for a session is none") from None


def _strange(script: Script) -> StoreError:
    return StoreError(f"Redis gave an unknown answer to {script.name}")
