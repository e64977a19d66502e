"""`peer …`: the key that we prove ourselves to other organisations with, and those that they are known by."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import structlog
import typer

from ivr.audit.chain import stamp
from ivr.call.ports.peers import Pin
from ivr.cli.office import Office, opened, settings_of
from ivr.errors import ConfigError, InputError, PeerError
from ivr.store import peers as stored

if TYPE_CHECKING:
    from ivr.peers.wellknown import Published

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

_Domain = Annotated[str, typer.Argument(help="Its domain.", metavar="DOMAIN")]


@app.command()
def key(
    context: typer.Context,
    following: Annotated[
        bool, typer.Option("--next", help="Make a new one, which the one before names; that one is destroyed.")
    ] = False,
) -> None:
    """Make the key that we prove ourselves with, or show which it is. Copy its file to every desk, and start them anew."""
    from ivr.peers import keys

    async def run(office: Office) -> tuple[str, bool]:
        if office.settings.peers.domain is None:
            raise ConfigError(f"{office.settings.file}: [peers] domain", "is left out", "Write our own domain there")
        there = office.settings.path(office.settings.peers.key_file).exists()
        if there and not following:
            return keys.OwnKeys.open(office.settings).key.id, False
        async with office.act() as act:
            await act.tell("peer.key", [""], following=str(following).lower())
        # nothing has changed that stands in no durable row
        return keys.turn(office.settings, time.time()) if there else keys.create(office.settings), True

    made, new = _with(context, run)
    typer.echo(f"Made the key {made}. Copy its file to every desk, and start them anew" if new else made)


@app.command("list")
def list_(context: typer.Context) -> None:
    """Show by which keys other organisations are known, since when, and whether somebody has compared them."""
    from ivr.peers.names import shown

    async def run(office: Office) -> tuple[Pin, ...]:
        return await stored.StoredPeers(office.database).all()

    found = _with(context, run)
    for pin in found:
        typer.echo(f"{shown(pin.domain)}  {pin.key}  since {_day(pin.first_seen)}{', compared' if pin.agreed else ''}")
    if not found:
        typer.echo("No other organisation was ever seen")


@app.command()
def show(context: typer.Context, domain: _Domain) -> None:
    """Ask another organisation who it is, and hold that against the key that it is known by. Nothing is kept."""

    async def run(office: Office) -> tuple[Published, Pin | None]:
        asked = _named(domain)
        return await _published(office, asked), await stored.StoredPeers(office.database).of(asked)

    found, pin = _with(context, run)
    from ivr.peers.keys import led_to
    from ivr.peers.names import shown

    typer.echo(f"{shown(found.domain)} calls itself {found.organisation}")
    typer.echo(f"Key: {found.key['kid']}")
    if pin is None:
        typer.echo("It was never seen")
    elif led_to(pin.public, found.succession, found.domain) == found.key["kid"]:
        typer.echo(f"Known since {_day(pin.first_seen)}{', compared' if pin.agreed else ''}")
    else:
        typer.echo(f"Known by another key since {_day(pin.first_seen)}: {pin.key}")


@app.command()
def agree(
    context: typer.Context,
    domain: _Domain,
    identifier: Annotated[str, typer.Argument(help="The key, as they have said it.", metavar="KEY")],
) -> None:
    """Know an organisation by this key, which somebody there has told you by another way than this."""

    async def run(office: Office) -> None:
        found = await _published(office, _named(domain))
        if found.key["kid"] != identifier:
            raise InputError("key: the domain publishes another one. Nothing was done")
        now = int(time.time())
        async with office.act() as act:
            await act.tell("peer.agree", [""], domain=found.domain, key=identifier)
            pin = Pin(found.domain, identifier, found.key, now, now)
            await act.connection.run_sync(stored.agree, pin)

    _with(context, run)
    typer.echo("It is known by this key from now on")


@app.command()
def forget(context: typer.Context, domain: _Domain) -> None:
    """Know an organisation by no key any more: whichever it has when it is seen next is the first."""

    async def run(office: Office) -> None:
        named = _named(domain)
        async with office.act() as act:
            await act.tell("peer.forget", [""], domain=named)
            if not await act.connection.run_sync(stored.forget, named):
                raise InputError("domain: it is not known. Nothing was done")

    _with(context, run)
    typer.echo("It is forgotten")


def _named(domain: str) -> str:
    from ivr.peers.names import domain as domain_of

    if (found := domain_of(domain)) is None:
        raise InputError("domain: is none, such as hospital.example. Nothing was done")
    return found


async def _published(office: Office, domain: str) -> Published:
    # Imported here: the other commands need no HTTP, and answer sooner without it.
    from ivr.peers import wellknown
    from ivr.peers.fetch import Fetcher

    log = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    found = wellknown.read(await Fetcher.of(office.settings, log).document(domain), domain, time.time())
    if isinstance(found, str):
        raise PeerError(f"peers: {domain}: {found}")
    return found


def _day(at: int) -> str:
    return stamp(datetime.fromtimestamp(at, UTC))[:10]


def _with(context: typer.Context, run: Callable[[Office], Awaitable[T]]) -> T:
    async def opening() -> T:
        async with opened(settings_of(context)) as office:
            return await run(office)

    return asyncio.run(opening())
