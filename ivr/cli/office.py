"""What the commands work with: settings, keys, database and register, opened together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.audit.chain import append_within, lock_of
from ivr.audit.signing import Seal
from ivr.call.ports import Entry
from ivr.cli.who import actor
from ivr.config import Settings, load
from ivr.database import Database
from ivr.errors import ConfigError, InputError
from ivr.secret import Secret
from ivr.store import keycheck
from ivr.store.register import Customer, Register
from ivr.store.roster import Roster
from ivr.vault import Vault

CHAIN = "cli"
"""The commands' own chain in the audit trail: a running worker goes on with its own."""

_USUAL = (Path("tillit.toml"), Path("config/tillit.toml"))


def settings_of(context: typer.Context) -> Settings:
    """The settings that `--config` names, or those in a usual place. Raises `ConfigError`."""
    named = context.find_root().obj
    if isinstance(named, Path):
        return load(named)
    for file in _USUAL:
        if file.exists():
            return load(file)
    places = " nor ".join(str(file) for file in _USUAL)
    raise ConfigError(
        "--config", f"there is neither {places} here", "Name the settings: --config FILE, or TILLIT_CONFIG=FILE"
    )


@dataclass(frozen=True, slots=True)
class Office:
    """Open for one command."""

    settings: Settings
    database: Database
    vault: Vault
    register: Register
    roster: Roster
    seal: Seal

    @asynccontextmanager
    async def act(self) -> AsyncIterator[Act]:
        """A transaction for something that an administrator does, with its audit rows: both happen, or neither.

        Nobody is asked anything in it: all others who write wait for its end. What it refuses is told of all the same.
        """
        try:
            async with self.database.write(lock=lock_of(CHAIN)) as connection:
                act = Act(connection, self.seal, self.register)
                yield act
                act.check()
        except Refused as refused:
            await self.note(refused)
            raise

    async def note(self, refused: Refused) -> None:
        """Write the row of what was refused."""
        detail = {"tenant": refused.tenant} if refused.tenant else {}
        entry = Entry(actor(), refused.action, refused.outcome, subject=refused.subject, detail=detail)
        async with self.database.write(lock=lock_of(CHAIN)) as connection:
            await append_within(connection, CHAIN, entry, seal=self.seal)

    async def show(self, number: str, tenant: str | None) -> Customer:
        """The customer of `Act.known`, for a person to see something of; a row tells of it. Raises `Refused`."""
        async with self.act() as act:
            customer = await act.known(number, tenant, "customer.show")
            await act.tell("customer.show", [customer.ref], tenant=customer.tenant)
        return customer


class Refused(InputError):
    """Nothing was done, but it tells who has asked something of a customer: that is in the trail, with this outcome.

    `tenant`: whose customer was meant, where that is known.
    """

    def __init__(self, message: str, action: str, outcome: str, subject: str = "", tenant: str = "") -> None:
        super().__init__(message)
        self.action = action
        self.outcome = outcome
        self.subject = subject
        self.tenant = tenant


class Act:
    """What is being done. It cannot be finished without a row that tells of it."""

    def __init__(self, connection: AsyncConnection, seal: Seal, register: Register) -> None:
        self.connection = connection
        self._seal = seal
        self._register = register
        self._told = False

    async def known(self, number: str, tenant: str | None, action: str) -> Customer:
        """The customer with this number, where no tenant is named the only one. Raises `Refused`: that nobody has it is something to know, too."""
        named = Secret(number)
        tenants = (tenant,) if tenant is not None else await self._register.tenants_of(self.connection, named)
        if len(tenants) > 1:
            said = f"number: a customer of each of these tenants has it: {', '.join(tenants)}. Name one with --tenant. Nothing was done"
            raise Refused(said, action, "ambiguous")
        customer = await self._register.find(self.connection, named, *tenants) if tenants else None
        if customer is None:
            raise Refused("number: no customer has it. Nothing was done", action, "unknown", tenant=tenant or "")
        return customer

    async def tell(self, action: str, subjects: Sequence[str], **detail: str) -> None:
        """Write an audit row for each subject, before the act itself."""
        who = actor()
        entries = [Entry(who, action, "done", subject=subject, detail=detail) for subject in subjects]
        await append_within(self.connection, CHAIN, *entries, seal=self._seal)
        self._told = bool(entries)

    def check(self) -> None:
        """No row, no act."""
        if not self._told:
            raise RuntimeError("an administrator's act without an audit row")


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Office]:
    """Open everything; raises `ConfigError` where the keys or the database are missing, or do not belong together."""
    vault = Vault.open(settings)
    try:
        seal = Seal.open(settings)
        async with await Database.open(settings) as database:
            async with database.read() as connection:
                await keycheck.check(connection, vault.keys)
            yield Office(settings, database, vault, Register(vault), Roster(vault), seal)
    finally:
        vault.close()
