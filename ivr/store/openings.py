"""Wishes to open one customer's record without a call, in Redis."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import orjson

from ivr.errors import StoreError
from ivr.store.link import Link, Script

_KEEP = Script("clock", "opening", "keep_opening")
_APPROVE = Script("clock", "opening", "approve_opening")
_DROP = Script("clock", "opening", "drop_opening")

# What somebody has typed may be anything, and not even text that can be sent.
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Opening:
    """Somebody's wish to open one record without a call, or what came of it.

    `by` is the asking person's id, `login` what that person signs in as. `approved_by` is empty while it waits.
    `until`: when it lapses, or when the record shuts again; seconds since the epoch.
    """

    id: str
    tenant: str
    by: str
    login: str
    ref: str
    fields: tuple[str, ...]
    reason: str
    until: int
    approved_by: str = ""

    @property
    def approved(self) -> bool:
        """Whether the record is open."""
        return bool(self.approved_by)


class RedisOpenings:
    """Implements `lock.ports.Openings`. They end by Redis's clock. Any method raises `StoreError`."""

    def __init__(self, link: Link, prefix: str) -> None:
        self._link = link
        self._prefix = prefix

    async def keep(self, wish: Opening, *, most: int) -> bool:
        """False, and it is not kept, where this person has so many that wait, or are open."""
        match await self._link.run(_KEEP, self._keys(wish), _written(wish), wish.id, wish.until, most):
            case [b"kept"]:
                return True
            case [b"many"]:
                return False
            case [b"late"]:
                raise StoreError("Redis: the wish has lapsed already; compare the clocks of the two machines")
            case _:
                raise _strange(_KEEP)

    async def of(self, tenant: str, id: str) -> Opening | None:
        """The one with this identifier; None where there is none, or no longer, or it is another tenant's."""
        if _ID.fullmatch(id) is None:
            return None
        found = _read(await self._link.ask("GET", self._key(tenant, id)))
        return found if found is not None and (found.tenant, found.id) == (tenant, id) else None

    async def waiting(self, tenant: str) -> Sequence[Opening]:
        """Those that nobody has granted or declined yet; the one that lapses first comes first."""
        return [one for one in await self._listed(tenant, self._waiting(tenant)) if not one.approved]

    async def of_person(self, tenant: str, person: str) -> Sequence[Opening]:
        """Those that this person has asked for; the one that ends first comes first."""
        return await self._listed(tenant, self._persons(tenant, person))

    async def _listed(self, tenant: str, key: str) -> list[Opening]:
        match await self._link.ask("ZRANGE", key, 0, -1):
            case [*ids]:
                found = [await self.of(tenant, one.decode()) for one in ids if isinstance(one, bytes)]
                return [one for one in found if one is not None]
            case _:
                raise StoreError("Redis gave no list of wishes")

    async def approve(self, wish: Opening, opened: Opening) -> bool:
        """Put the one in the other's place, in one step; False where it is not as it was any more."""
        answer = await self._link.run(
            _APPROVE, self._keys(wish), _written(wish), _written(opened), wish.id, opened.until
        )
        match answer:
            case [b"opened"]:
                return True
            case [b"other"]:
                return False
            case _:
                raise _strange(_APPROVE)

    async def drop(self, wish: Opening) -> bool:
        """Whether it was there."""
        match await self._link.run(_DROP, self._keys(wish), wish.id):
            case [b"dropped", int(count)]:
                return count == 1
            case _:
                raise _strange(_DROP)

    def _keys(self, wish: Opening) -> list[str]:
        return [
            self._key(wish.tenant, wish.id),
            self._persons(wish.tenant, wish.by),
            self._waiting(wish.tenant),
        ]

    def _key(self, tenant: str, id: str) -> str:
        return f"{self._prefix}:opening:one:{tenant}:{id}"

    def _persons(self, tenant: str, person: str) -> str:
        return f"{self._prefix}:opening:by:{tenant}:{person}"

    def _waiting(self, tenant: str) -> str:
        return f"{self._prefix}:opening:waiting:{tenant}"


def _written(wish: Opening) -> bytes:
    return orjson.dumps(asdict(wish))


def _read(text: object) -> Opening | None:
    if not isinstance(text, bytes):
        return None
    try:
        found = orjson.loads(text)
        return Opening(**{**found, "fields": tuple(found["fields"])})
    except (ValueError, TypeError, KeyError):
        raise StoreError("Redis: what stands for a wish to open a record is none") from None


def _strange(script: Script) -> StoreError:
    return StoreError(f"Redis gave an unknown answer to {script.name}")
