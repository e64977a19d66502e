"""Tokens with which a page of another origin shows an agent's own calls: of one session of that agent, and never beyond it."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import orjson

from ivr.errors import StoreError
from ivr.secret import Secret
from ivr.store.link import Link

# As a session's: the tenant, so that it stands in every key, and 256 random bits.
_TOKEN = re.compile(r"(?P<tenant>[A-Za-z0-9_-]{1,40})\.[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Grant:
    """What such a token is good for: `scopes`, for pages of `origin`, as long as the session of this hash lives."""

    tenant: str
    person: str
    session: str
    client: str
    origin: str
    scopes: tuple[str, ...]


class Elements:
    """In Redis, where of a token the SHA-256 alone stands. Every method raises `StoreError`."""

    def __init__(self, link: Link, prefix: str) -> None:
        self._link = link
        self._prefix = prefix

    async def begin(self, grant: Grant, seconds: int) -> Secret:
        """A token for this, good for so long."""
        token = Secret(f"{grant.tenant}.{secrets.token_hex(32)}")
        await self._link.ask("SET", self._key(grant.tenant, token), orjson.dumps(asdict(grant)), "EX", seconds)
        return token

    async def of(self, token: Secret) -> Grant | None:
        """What it is good for; None where it is no token, or not any more."""
        named = _TOKEN.fullmatch(token.reveal())
        if named is None:
            return None
        found = await self._link.ask("GET", self._key(named["tenant"], token))
        if not isinstance(found, bytes):
            return None
        try:
            read = orjson.loads(found)
            return Grant(**{**read, "scopes": tuple(read["scopes"])})
        except (ValueError, TypeError, KeyError):
            raise StoreError("Redis: what stands for an element's token is none") from None

    def _key(self, tenant: str, token: Secret) -> str:
        return f"{self._prefix}:element:{tenant}:{hashlib.sha256(token.reveal().encode()).hexdigest()}"


def allowed(scopes: Sequence[str], still: Sequence[str]) -> tuple[str, ...]:
    """Those that were given and that the settings give yet."""
    return tuple(scope for scope in scopes if scope in still)
