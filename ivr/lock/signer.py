"""Signs tokens, and tells which keys do: for programs that check by themselves what the lock says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from secrets import token_urlsafe
from time import monotonic, time
from typing import Any, Protocol, Self

from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Entry, Trail
from ivr.config import Settings
from ivr.database import Database
from ivr.errors import StoreError, TillitError
from ivr.store import tokenkeys
from ivr.store.tokenkeys import CACHED_SECONDS, MOST_SECONDS, Stored
from ivr.vault import Vault
from ivr.vault.tokens import TokenKey, Verifier

# Seconds until a key that was thrown away signs nothing more here.
_LOOK_SECONDS = 5.0
# Seconds without a look after which nothing is signed: it may have been thrown away since.
_BLIND_SECONDS = 60.0
# Seconds by which clocks may differ.
_DRIFT = 5


class Signs(Protocol):
    """What others ask of `Signer`."""

    def sign(self, claims: Mapping[str, object], audience: str, seconds: int, *, kind: str = "JWT") -> str: ...


class Signer:
    """Use it with `async with`: it follows the keys of the database, which all processes share, and makes new ones in time."""

    def __init__(
        self, settings: Settings, database: Database, vault: Vault, trail: Trail, log: FilteringBoundLogger,
        *, wall: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        self.issuer = settings.desk.url or ""
        self._days = settings.tokens.rotate_days
        self._database = database
        self._vault = vault
        self._trail = trail
        self._log = log
        self._wall = wall
        self._stored: tuple[Stored, ...] = ()
        self._open: dict[str, TokenKey] = {}
        self._verifier = Verifier(())
        self._looked = float("-inf")
        self._following: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Raises `StoreError`, `VaultError`, `ConfigError` where there is no key that can be used, and none can be made."""
        await self.look()
        self._following = asyncio.create_task(self._follow(), name="token-keys")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])

    def sign(self, claims: Mapping[str, object], audience: str, seconds: int, *, kind: str = "JWT") -> str:
        """A JWT with these claims for this audience, good for so many seconds; `kind` is its `typ`.

        `iss`, `aud`, `iat` and `exp` are set here, and `jti` where it is not among the claims. Takes about 0.1 ms, and asks nobody. Raises `StoreError` where it
        is not known for a minute which keys are good.
        """
        if not 0 < seconds <= MOST_SECONDS:
            raise ValueError(f"a token lives for 1 to {MOST_SECONDS} seconds")
        self.check()
        now = self._wall()
        key = tokenkeys.current(self._stored, now)
        if key is None:
            raise StoreError("tokens: no key signs now")
        own = {"iss": self.issuer, "aud": audience, "iat": int(now), "exp": int(now) + seconds}
        return self._open[key.id].sign({"jti": token_urlsafe(16), **claims, **own}, kind=kind)

    def read(self, token: str, kind: str) -> Mapping[str, Any] | None:
        """What a token of this `typ` says that is good now; None for anything else. Raises `StoreError` as `sign` does.

        For whom it was is not looked at.
        """
        self.check()
        found = self._verifier.read(token)
        if found is None or found.kind != kind or found.claims.get("iss") != self.issuer:
            return None
        match found.claims:
            case {"iat": int(begins), "exp": int(ends)} if begins - _DRIFT <= self._wall() < ends:
                return found.claims
            case _:
                return None

    def published(self) -> Sequence[Mapping[str, str]]:
        """Every key that whoever checks tokens may need, as a JSON Web Key Set has it. Raises `StoreError` as `sign` does."""
        self.check()
        return tuple(key.public for key in self._stored)

    def check(self) -> None:
        """Raises `StoreError` where it is not known for a minute which keys are good."""
        if monotonic() - self._looked > _BLIND_SECONDS:
            raise StoreError("tokens: it is not known which keys are good")

    async def look(self) -> None:
        """Which keys there are; makes what is missing. Raises `StoreError`, `VaultError`, `ConfigError`."""
        begun = monotonic()
        stored = await self._database.look_up(tokenkeys.all_of)
        if tokenkeys.needs_work(stored, self._wall()):
            stored = await self._kept(stored)
        if stored != self._stored:
            self._open = {key.id: self._open.get(key.id) or key.open(self._vault) for key in stored}
            self._verifier = Verifier(key.public for key in stored)
            self._stored = stored
        self._looked = begun

    async def _kept(self, stored: Sequence[Stored]) -> tuple[Stored, ...]:
        now = self._wall()
        await self._trail.append(Entry("desk", "keys.tokens", "kept", detail={"keys": str(len(stored))}))
        async with self._database.write() as connection:
            made = await tokenkeys.keep(connection, self._vault, now, self._days)
            found = await connection.run_sync(tokenkeys.all_of)
        if made:
            self._log.info("tokens.keys_made", keys=", ".join(made))
        return found

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.look()
            except TillitError as error:
                self._log.error("tokens.keys_unknown", error=str(error))


__all__ = ["CACHED_SECONDS", "Signer", "Signs"]
