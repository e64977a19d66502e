"""Keys that sign tokens, as the database keeps them: all processes share them, and time alone says which one signs.

There are always two or more: one that signs, the next, which is published long before its time so that nobody who checks
tokens meets a key that is new to them, and those before, until what they have signed has ended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.database import hold
from ivr.store import keycheck, sealing
from ivr.store.tables import TOKEN_KEYS
from ivr.vault import Vault
from ivr.vault.tokens import TokenKey

# What two that make keys wait for.
_LOCK = "token_keys"

MOST_SECONDS = 3600
"""The longest that any token lives: so long a key is published behind its time."""

CACHED_SECONDS = 300
"""As long as the published keys may be kept by whoever reads them."""

# A key is known to everybody when what was read before it was made has ended; the rest is for clocks that differ.
_LEAD = 2 * CACHED_SECONDS

_DAY = 24 * 3600


@dataclass(frozen=True, slots=True)
class Stored:
    """A key as it is stored. It signs from `signs_from` on (seconds since the epoch), until another one does."""

    id: str
    key_id: str
    wrapped: bytes
    private: bytes
    public: Mapping[str, str]
    made_at: int
    signs_from: int

    def open(self, vault: Vault) -> TokenKey:
        """The key itself. Raises `VaultError`."""
        envelope = vault.envelopes.open(sealing.token_key(self.id), self.key_id, self.wrapped)
        return TokenKey.open(envelope, self.id, self.private)


def all_of(connection: Connection) -> tuple[Stored, ...]:
    """Every key, in the order in which they sign."""
    query = select(TOKEN_KEYS).order_by(TOKEN_KEYS.c.signs_from, TOKEN_KEYS.c.id)
    return tuple(
        Stored(row.id, row.key_id, row.wrapped, row.private, json.loads(row.public), row.made_at, row.signs_from)
        for row in connection.execute(query).all()
    )


def current(keys: Sequence[Stored], now: float) -> Stored | None:
    """The one that signs now."""
    return next((key for key in reversed(keys) if key.signs_from <= now), None)


def over(keys: Sequence[Stored], now: float) -> tuple[Stored, ...]:
    """Those whose every token has ended."""
    return tuple(key for key, successor in pairwise(keys) if successor.signs_from + MOST_SECONDS + _LEAD <= now)


def needs_work(keys: Sequence[Stored], now: float) -> bool:
    """Whether there is none that signs, or none to come, or one that is over (`keep`)."""
    return current(keys, now) is None or keys[-1].signs_from <= now or bool(over(keys, now))


async def keep(connection: AsyncConnection, vault: Vault, now: float, days: int) -> tuple[str, ...]:
    """Make what is missing, throw away what is over; the ids of those that were made.

    Raises `ConfigError` where the master key is none that the database knows (any more).
    """
    await hold(connection, _LOCK)
    keys, made = await connection.run_sync(all_of), list[str]()
    await _drop(connection, [key.id for key in over(keys, now)])
    if current(keys, now) is None:
        made.append(await _make(connection, vault, now, now))
    if not keys or keys[-1].signs_from <= now:
        made.append(await _make(connection, vault, now, now + days * _DAY))
    return tuple(made)


async def turn(connection: AsyncConnection, vault: Vault, now: float, days: int) -> tuple[Stored, int]:
    """Let the next key sign as soon as everybody may know it, and make one to follow it: that next one, and from when.

    Raises `ConfigError` as `keep` does.
    """
    await keep(connection, vault, now, days)
    following = (await connection.run_sync(all_of))[-1]
    begins = min(following.signs_from, max(int(now), following.made_at + _LEAD))
    where = TOKEN_KEYS.c.id == following.id
    await connection.execute(update(TOKEN_KEYS).where(where).values(signs_from=begins))
    await _make(connection, vault, now, begins + days * _DAY)
    return following, begins


async def begin_anew(connection: AsyncConnection, vault: Vault, now: float, days: int) -> tuple[str, ...]:
    """Throw all keys away, and make new ones: whoever has got one of them can sign nothing more.

    What the old ones have signed is good until whoever checks it reads the published keys again. Raises as `keep` does.
    """
    await hold(connection, _LOCK)
    await _drop(connection, [key.id for key in await connection.run_sync(all_of)])
    return await keep(connection, vault, now, days)


async def _make(connection: AsyncConnection, vault: Vault, now: float, signs_from: float) -> str:
    key = TokenKey.new()
    envelope = vault.envelopes.new(sealing.token_key(key.id))
    await keycheck.need(connection, (envelope.key_id,))
    await connection.execute(
        insert(TOKEN_KEYS).values(
            id=key.id, key_id=envelope.key_id, wrapped=envelope.wrapped, private=key.seal(envelope),
            public=json.dumps(dict(key.public)), made_at=int(now), signs_from=int(signs_from),
        )
    )  # fmt: skip
    return key.id


async def _drop(connection: AsyncConnection, ids: Sequence[str]) -> None:
    await connection.execute(delete(TOKEN_KEYS).where(TOKEN_KEYS.c.id.in_(ids)))
