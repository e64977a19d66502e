"""How often one may try to sign in: by login, by address, and over all, in Redis, with growing waits."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum

from ivr.config import SignIn
from ivr.errors import StoreError
from ivr.store.address import networks
from ivr.store.link import Link, Script
from ivr.vault import Index

_TRY = Script("clock", "tries", "try_sign_in")
_RIGHT = Script("clock", "tries", "sign_in_right")

_SECOND, _MINUTE = 1_000, 60_000

# How many times the failures of one address an IPv6 /56 and a /48 may have. Providers put many homes into one /48.
_TIMES = 3, 8


class Counted(StrEnum):
    """What too many failures were counted by."""

    LOGIN = "login"
    ADDRESS = "address"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Try:
    """A try to sign in, as it is counted; login and networks as blind indexes, the login as it is in its tenant.

    `guessable`: whether it may be right by chance; else it counts neither over all nor in the networks that others have as well.
    """

    name: str
    tenant: str
    login: str
    networks: tuple[str, ...]
    guessable: bool


@dataclass(frozen=True, slots=True)
class May:
    """The try was counted and may be evaluated. `failures` in a row before it; `since`: now, in microseconds of Redis's clock."""

    failures: int
    since: int


@dataclass(frozen=True, slots=True)
class MayNot:
    """Nothing was counted and nothing may be evaluated; for so many seconds, or until a reset. `news`: the first to be told so."""

    by: Counted
    seconds: int | None
    failures: int
    news: bool


class Throttle:
    """On the same Redis as `RedisLive`. Every method is one script, which Redis runs alone, and raises `StoreError`."""

    def __init__(self, link: Link, prefix: str, rules: SignIn, index: Index) -> None:
        self._link = link
        self._prefix = prefix
        self._index = index
        # As tries.lua reads them: counts, and milliseconds.
        self._limits = (
            rules.login_in_a_row, rules.login_wait_seconds * _SECOND, rules.login_most,
            rules.address_wait_seconds * _SECOND, rules.wait_most_minutes * _MINUTE,
            rules.all, rules.all_window_minutes * _MINUTE,
        )  # fmt: skip
        # nobody's connection alone comes near to shutting all others out
        self._address, *wider = (min(times * rules.address_in_a_row, rules.all // 2) for times in (1, *_TIMES))
        # where so many addresses each come to their longest wait, it has as many tries as they: no one of them shuts the others out
        apart = (rules.wait_most_minutes * _MINUTE // times for times in _TIMES)
        self._wider = tuple(zip(wider, apart, strict=True))

    def of(self, tenant: str, login: str, address: str, *, guessable: bool = True) -> Try:
        """A new try; nothing is counted yet. Not `guessable`: where somebody holds a key, or comes from the provider."""
        return Try(
            secrets.token_hex(8), tenant, self._index.sign_in("login", tenant, login),
            tuple(self._index.sign_in("address", one) for one in networks(address)), guessable,
        )  # fmt: skip

    async def count(self, one: Try) -> May | MayNot:
        """Count it, unless it must wait: before it is evaluated."""
        match await self._run(_TRY, one):
            case [b"granted", int(failures), int(since)]:
                return May(failures, since)
            case [b"refused", bytes(by), int(seconds), int(failures), int(news)]:
                return MayNot(Counted(by.decode()), seconds if seconds >= 0 else None, failures, news == 1)
            case _:
                raise StoreError(f"Redis gave an unknown answer to {_TRY.name}")

    async def right(self, one: Try) -> None:
        """The counted try was right: it was no failure, and those of this login before it are forgotten."""
        await self._run(_RIGHT, one)

    async def forget(self, tenant: str, login: str) -> bool:
        """Forget the failures of this login; whether there were any."""
        return await self._link.ask("DEL", self._key("login", tenant, self._index.sign_in("login", tenant, login))) == 1

    async def _run(self, script: Script, one: Try) -> list[object]:
        keys = [
            f"{self._prefix}:tries:all",
            self._key("login", one.tenant, one.login),
            *(f"{self._prefix}:tries:address:{name}" for name in one.networks),
        ]
        wider = (number for pair in self._wider[: len(one.networks) - 1] for number in pair)
        told = one.name, one.login, int(one.guessable), self._address
        return await self._link.run(script, keys, *self._limits, *told, *wider)

    def _key(self, kind: str, tenant: str, name: str) -> str:
        return f"{self._prefix}:tries:{kind}:{tenant}:{name}"
