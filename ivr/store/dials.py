"""Calls that are being begun at the desk, and whom they have reached: in Redis, for all desks together."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson

from ivr.call.dial import Called, Dialling, DialStage
from ivr.errors import StoreError
from ivr.store.link import Link
from ivr.store.news import news_of_endpoint, topic

# Seconds for which an end is shown to whoever has begun it.
_SHOWN = 20
# Seconds for which it is known whom a call has reached: no call lasts as long.
_LIFE = 12 * 3600
# Seconds for which it is known that a call shall end: whoever carries it looks at once.
_OFF = 60


class RedisDials:
    """Implements `lock.dialports.Dials`. Any method raises `StoreError`."""

    def __init__(self, link: Link, prefix: str) -> None:
        self._link = link
        self._prefix = prefix

    async def begin(self, tenant: str, person: str, dialling: Dialling, seconds: int) -> bool:
        """False, and nothing is kept, where one of this person's goes on. It ends by itself after so many seconds."""
        on, ended = self._keys(tenant, person)
        if await self._link.ask("SET", on, _written(dialling), "NX", "EX", seconds) is None:
            return False
        await self._link.ask("DEL", ended)
        return True

    async def show(self, tenant: str, person: str, dialling: Dialling) -> None:
        """It is so far now. An end is shown for a while, and the next one may begin; what was answered is seen as a call."""
        on, ended = self._keys(tenant, person)
        if not dialling.stage.is_end:
            await self._link.ask("SET", on, _written(dialling), "XX", "KEEPTTL")
        else:
            if dialling.stage is not DialStage.ANSWERED:
                await self._link.ask("SET", ended, _written(dialling), "EX", _SHOWN)
            await self._link.ask("DEL", on)
        await self._tell(dialling)

    async def shown(self, tenant: str, person: str) -> Dialling | None:
        """This person's latest, as long as there is something to be shown."""
        match await self._link.ask("MGET", *self._keys(tenant, person)):
            case [bytes(text), _] | [None, bytes(text)]:
                return _dialling(text)
            case [None, None]:
                return None
            case _:
                raise StoreError("Redis gave no list of calls that are begun")

    async def answered(self, node: str, channel: str, called: Called) -> None:
        """The customer's channel of one that was answered."""
        await self._link.ask("SET", self._called(node, channel), orjson.dumps(asdict(called)), "EX", _LIFE)

    async def of(self, node: str, channel: str) -> Called | None:
        """Whom this channel has reached; None where it is of no such call."""
        text = await self._link.ask("GET", self._called(node, channel))
        if text is None:
            return None
        try:
            return Called(**_read(text))
        except TypeError:
            raise StoreError("Redis: what stands for the customer of a call is none") from None

    async def call_off(self, dialling: Dialling) -> None:
        """Whoever carries it is told that it shall end."""
        await self._link.ask("SET", self._off(dialling.id), b"1", "EX", _OFF)
        await self._tell(dialling)

    async def called_off(self, id: str) -> bool:
        """Whether somebody has said so."""
        return await self._link.ask("EXISTS", self._off(id)) == 1

    # ------------------------------------------------------------ inside

    async def _tell(self, dialling: Dialling) -> None:
        await self._link.ask("PUBLISH", topic(self._prefix), news_of_endpoint(dialling.endpoint))

    def _keys(self, tenant: str, person: str) -> tuple[str, str]:
        whose = f"{tenant}:{person}"
        return f"{self._prefix}:dial:on:{whose}", f"{self._prefix}:dial:ended:{whose}"

    def _called(self, node: str, channel: str) -> str:
        return f"{self._prefix}:dialled:{node}:{channel}"

    def _off(self, id: str) -> str:
        return f"{self._prefix}:dial:off:{id}"


def _written(dialling: Dialling) -> bytes:
    return orjson.dumps(asdict(dialling))


def _dialling(text: bytes) -> Dialling:
    found = _read(text)
    try:
        return Dialling(**{**found, "stage": DialStage(found["stage"])})
    except (ValueError, TypeError, KeyError):
        raise StoreError("Redis: what stands for a call that is begun is none") from None


def _read(text: object) -> dict[str, Any]:
    try:
        found = orjson.loads(text) if isinstance(text, bytes) else None
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}
