"""The commands, as `ari_app.py` and `tillit` run them."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.main

import ivr
from ivr.cli import (
    agent,
    audit,
    backup,
    customer,
    identity,
    initialise,
    keys,
    mail,
    partner,
    peer,
    person,
    push,
    rights,
    texts,
    tokens,
    totp,
    webhooks,
)
from ivr.cli.doctor import doctor
from ivr.cli.office import settings_of
from ivr.cli.sample import sample
from ivr.cli.trace import trace
from ivr.errors import ConfigError, InputError, TillitError, Unreachable

app = typer.Typer(
    name="ari_app.py",
    help="Verifies callers on Asterisk before they reach an agent.",
    no_args_is_help=True,
    # A traceback with the values of variables would show what nobody may see.
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command(name="init")(initialise.init)
app.command(name="sample")(sample)
app.command(name="doctor")(doctor)
app.command(name="trace")(trace)
app.command(name="backup")(backup.backup)
app.command(name="restore")(backup.restore)
keys.app.command("backup")(backup.new_key)
keys.app.add_typer(tokens.app, name="tokens", help="Keys that sign tokens.")
customer.app.command()(person.export)
customer.app.command()(person.erase)
customer.app.command()(person.scrub)
customer.app.add_typer(mail.app, name="mail", help="Customers' mail addresses.")
customer.app.add_typer(partner.app, name="partner", help="What customers are called by apps of other companies.")
customer.app.add_typer(push.app, name="push", help="Browsers in which customers are shown who calls.")
customer.app.add_typer(
    identity.app, name="identity", help="What customers are called at providers of electronic identities."
)
customer.app.add_typer(totp.app, name="totp", help="Customers' authenticator apps.")
app.add_typer(customer.app, name="customer", help="Customers: who can be verified.")
for one in (rights.change, rights.permit, rights.deny, rights.usual, rights.link, rights.unlink):
    agent.app.command()(one)
app.add_typer(agent.app, name="agent", help="Agents and others who sign in at the desk.")
app.add_typer(texts.app, name="texts", help="Text messages: whether they go out.")
app.add_typer(webhooks.app, name="webhooks", help="Webhooks: what waits to be told.")
app.add_typer(peer.app, name="peer", help="Other organisations: by which keys they are known, and we to them.")
app.add_typer(audit.app, name="audit", help="The audit trail: who did what.")
app.add_typer(keys.app, name="keys", help="Keys: which there are, and new ones for old.")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"tillit {ivr.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            envvar="TILLIT_CONFIG",
            help="The settings. Else ./tillit.toml, else config/tillit.toml.",
            metavar="FILE",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    del version  # its callback has dealt with it
    context.obj = config


@app.command()
def run(context: typer.Context) -> None:
    """Verify callers until stopped with SIGTERM or Ctrl-C."""
    settings = settings_of(context)
    # Imported here: the other commands need nothing of Asterisk, and answer sooner without it; so are settings refused.
    from ivr.cli.run import run as serve

    serve(settings)


@app.command()
def desk(context: typer.Context) -> None:
    """Serve the agents' pages and the API until stopped with SIGTERM or Ctrl-C."""
    settings = settings_of(context)
    from ivr.desk import run as serve

    serve(settings)


@app.command()
def proxy(context: typer.Context) -> None:
    """Stand before a CRM, and pass on what the lock allows, until stopped with SIGTERM or Ctrl-C."""
    settings = settings_of(context)
    from ivr.proxy.run import run as serve

    serve(settings)


@app.command()
def page(context: typer.Context) -> None:
    """Serve the public page, on which the company shows a person who it is, until stopped with SIGTERM or Ctrl-C."""
    settings = settings_of(context)
    from ivr.page.run import run as serve

    serve(settings)


@cache
def command() -> Any:
    """All commands, as the library has read them from their functions: that takes it longer than most of them run."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command that was typed.

    Ends with 2 where it was asked for something wrong, with 75 where a part is not there (yet), with 1 where it failed.
    """
    try:
        if any("\udc80" <= letter <= "\udcff" for word in sys.argv for letter in word):
            raise InputError("the command line is not UTF-8. Nothing was done")
        command()(args=_config_first(sys.argv[1:]))
    except TillitError as error:
        typer.echo(error, err=True)
        match error:
            case Unreachable():
                # sysexits.h: the same again later may do. config/tillit.service tells it from 2
                sys.exit(os.EX_TEMPFAIL)
            case ConfigError() | InputError():
                sys.exit(2)
            case _:
                sys.exit(1)


def _config_first(words: list[str]) -> list[str]:
    """`--config FILE` belongs to every command, so it may stand behind any of them."""
    ended = words.index("--") if "--" in words else len(words)
    for at, word in enumerate(words[:ended]):
        length = 2 if word == "--config" else 1 if word.startswith("--config=") else 0
        if length:
            return [*words[at : at + length], *words[:at], *words[at + length :]]
    return words
