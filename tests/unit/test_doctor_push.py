"""What the doctor says of Web Push and of servers of apps, and what is done about it."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog
from aiohttp import web
from joserfc.jwk import ECKey

from ivr.config import Settings, load
from ivr.database import Database
from ivr.doctor.finding import Finding
from ivr.doctor.push import check
from ivr.push.web import WebPush
from ivr.secret import Personal, Secret
from ivr.store.pushes import Pushes
from ivr.vault import Vault
from tests.unit.cli_kit import Cli
from tests.unit.database_kit import rows

PHONE = "+46701234567"
"""The first of the customer's."""
PUSH = '[prove]\nways = ["text", "push"]\n[push]\nvapid_key_file = "vapid.pem"\nsubject = "mailto:ops@example.com"\n'


def with_lines(made: Settings, text: str) -> Settings:
    with made.file.open("a", encoding="utf-8") as stream:
        stream.write(f"\n{text}")
    return load(made.file)


def new_key(made: Settings) -> None:
    file = made.file.with_name("vapid.pem")
    file.touch(0o600)
    file.write_bytes(ECKey.generate_key("P-256").as_pem(private=True))


@pytest.fixture
def pushing(made: Settings) -> Settings:
    """A system with a key of Web Push."""
    new_key(made)
    return with_lines(made, PUSH)


async def switched_on(settings: Settings, *names: str, under: str | None = None) -> None:
    """In these browsers of customer 10001's; `under`: another key than the present one."""
    push = WebPush.of(settings, structlog.get_logger())
    assert push is not None
    vault = Vault.open(settings)
    [(ref,)] = rows(settings, "SELECT ref FROM customers")
    async with await Database.open(settings) as database:
        pushes = Pushes(database, vault)
        for name in names:
            said = Secret(f'{{"endpoint":"https://push.example/{name}"}}')
            phone = vault.index.phone(Personal(PHONE))
            assert await pushes.keep(ref, said, phone, push.public if under is None else under, 0)
    vault.close()


def named(found: list[Finding]) -> list[tuple[str, str]]:
    return [(one.subject, one.name) for one in found]


async def test_nothing_where_neither_is_there(made: Settings) -> None:
    assert await check(made) == []


async def test_a_key_that_cannot_be_used(pushing: Settings) -> None:
    assert named(await check(pushing)) == [("push", "ok")]
    file = pushing.file.with_name("vapid.pem")
    for text, mode, what in (("x", 0o600, "no private key of P-256"), ("", 0o644, "vapid"), (None, 0, "vapid")):
        if text is None:
            file.unlink()
        else:
            file.write_text(text)
            file.chmod(mode)
        (one,) = await check(pushing)
        assert (one.subject, one.name, what in one.what) == ("push", "push-settings", True), one
        assert one.cure


async def test_browsers_that_have_agreed_to_another_key(pushing: Settings, cli: Cli) -> None:
    former = pushing.file.with_name("vapid.pem").read_bytes()
    await switched_on(pushing, "a", "b")
    await switched_on(pushing, "old", under="")
    assert named(await check(pushing)) == [("push", "ok")]
    new_key(pushing)
    await switched_on(pushing, "c")
    (one,) = await check(pushing)
    assert one.name == "push-former-key"
    assert one.what == "2 of the 4 browsers that have agreed last agreed to messages of another key"
    assert "vapid.pem" in one.cure[0] and one.cure[1].endswith("ari_app.py customer push prune")
    # with the former key in its place again it is the other one that is wrong
    new = pushing.file.with_name("vapid.pem").read_bytes()
    pushing.file.with_name("vapid.pem").write_bytes(former)
    assert [found.what[:8] for found in await check(pushing)] == ["1 of the"]
    pushing.file.with_name("vapid.pem").write_bytes(new)
    # or they are forgotten
    told = await asyncio.to_thread(cli, "customer", "push", "prune")
    assert (told.code, told.out) == (0, "Removed browsers that have agreed to messages of another key: 2\n")
    assert named(await check(pushing)) == [("push", "ok")]
    assert rows(pushing, "SELECT count(*) FROM customer_pushes") == [(2,)], "one of them of an unknown key"
    [(ref,)] = rows(pushing, "SELECT ref FROM customers")
    told_of = "SELECT subject, detail FROM audit WHERE action = 'customer.push_remove'"
    assert rows(pushing, told_of) == [(ref, '{"key":"former","tenant":"main"}')]
    again = await asyncio.to_thread(cli, "customer", "push", "prune")
    assert again.out.endswith(": 0\n")
    assert len(rows(pushing, told_of)) == 1


def test_without_a_key_nothing_is_forgotten(made: Settings, cli: Cli) -> None:
    ended = cli("customer", "push", "prune")
    said = "[push] vapid_key_file is left out: which key is the present one? Nothing was done\n"
    assert (ended.code, ended.err) == (2, said)


@asynccontextmanager
async def app_server() -> AsyncIterator[tuple[str, list[str]]]:
    """A server that is there; what it was asked."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.method)
        return web.Response(status=404)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/tillit", asked
    finally:
        await runner.cleanup()


async def test_servers_of_apps(made: Settings) -> None:
    for name in ("ours", "bank"):
        file = made.file.with_name(f"{name}.app")
        file.touch(0o600)
        file.write_text(f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}")
    async with app_server() as (url, asked):
        settings = with_lines(
            made,
            '[prove]\nways = ["text", "app", "partner"]\napp = "ours"\npartners = ["bank"]\n'
            + "".join(f'[apps.{name}]\nurl = "{url}"\nsecret_file = "{name}.app"\n' for name in ("ours", "bank")),
        )
        assert named(await check(settings)) == [("app ours", "ok"), ("app bank", "ok")]
        assert asked == ["HEAD", "HEAD"], "nobody is told anything"
    away = await check(settings)
    assert named(away) == [("app ours", "app-away"), ("app bank", "app-away")]
    assert "[apps.bank] url" in away[1].cure[0]
    made.file.with_name("bank.app").write_text(made.file.with_name("ours.app").read_text())
    (same,) = await check(settings)
    assert same.name == "push-settings" and "is that of [apps." in same.what
    made.file.with_name("bank.app").chmod(0o644)
    assert [one.name for one in await check(settings)] == ["push-settings"]
