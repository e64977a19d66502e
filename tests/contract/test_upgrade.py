"""An upgrade from the last version without a desk, as docs/upgrades.md tells it: what was there is there, and a desk can be put up.

The folder `before_the_desk` has what that version itself has written: a database of either kind with two customers, its keys,
its samples of the settings, manager.conf and redis.conf.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pyotp
import pytest
from rig.ports import HOST
from rig.redis_server import Redis
from rig.state import CHECKOUT

from ivr.call.mark import Mark
from ivr.call.ports import Attempt, Challenge, Granted, Opened, Right
from ivr.config import Settings, load
from ivr.database import Database
from ivr.database.url import url_of
from ivr.doctor.filters import keeps_keys_out, of_user
from ivr.secret import Secret
from ivr.staff import Person, SignedIn
from ivr.store.customers import Customers
from ivr.store.desks import RedisDesks
from ivr.store.live import RedisLive
from ivr.store.news import Heard, News
from tests.contract.desk_kit import HERE, PASSWORD, house_of, settings_of
from tests.contract.live_server import RULES, Server, placed
from tests.contract.sampled import sampled
from tests.contract.web_kit import Log
from tests.unit.cli_kit import Cli, Ended
from tests.unit.conftest import Either, cli
from tests.unit.database_kit import asked, on_postgresql, settings_in

__all__ = ["cli"]
pytestmark = pytest.mark.servers

UPGRADES = (CHECKOUT / "docs" / "upgrades.md").read_text()
ANNA = Attempt("subject", "number", "channel")
SENT = Challenge("id", "subject", "channel", "mac")
BEFORE = Path(__file__).parent / "before_the_desk"
THEN, NOW = "0004", "0018"


@pytest.fixture
async def old(either: Either, cli: Cli) -> Settings:
    """The system as that version has left it."""
    settings = either()
    folder = settings.file.parent
    (folder / "keys").mkdir(mode=0o700)
    for key in (BEFORE / "keys.txt").read_text().split():
        file = folder / "keys" / f"{key.split('-')[1]}.key"
        file.touch(0o600)
        file.write_text(f"{key}\n")
    if not on_postgresql(settings):
        (folder / "tillit.db").touch(0o600)
        with closing(sqlite3.connect(folder / "tillit.db")) as database:
            database.executescript((BEFORE / "sqlite.sql").read_text())
        return settings
    url = url_of(settings)
    connection = await asyncpg.connect(**_of(url, "postgres"))
    await connection.execute(f'CREATE DATABASE "{url.database}"')
    await connection.close()
    connection = await asyncpg.connect(**_of(url, str(url.database)))
    await connection.execute((BEFORE / "postgresql.sql").read_text())
    await connection.close()
    return settings


def _of(url: Any, database: str) -> dict[str, Any]:
    return {"host": url.host, "port": url.port, "user": url.username, "password": url.password, "database": database}


async def test_the_database_the_keys_and_all_that_is_in_them(old: Settings, cli: Cli, server: Server) -> None:
    keys = {file.name: file.read_bytes() for file in (old.file.parent / "keys").iterdir()}
    before = await written(old)
    # not before `init`: nobody reads or writes a database of another version
    for command in (("customer", "show", "10001"), ("agent", "list"), ("audit", "verify")):
        ended = await typed(cli, *command)
        assert ended.code != 0 and THEN in ended.err and NOW in ended.err and "init" in ended.err, command
    ended = await typed(cli, "init")
    assert (ended.code, ended.out) == (0, f"Brought the database from version {THEN} to {NOW}\n")
    assert (await typed(cli, "init")).out == "Nothing to do: the keys and the database are there.\n"
    assert {file.name: file.read_bytes() for file in (old.file.parent / "keys").iterdir()} == keys

    # what was written stays as it was, and the new rows hang on to it
    found = await written(old)
    assert found[: len(before)] == before and found[len(before)][1:3] == ("init", "done")
    ended = await typed(cli, "audit", "verify")
    assert ended.code == 0 and "The trail is as it was written." in ended.out
    shown = await typed(cli, "customer", "show", "10001", "--reveal")
    assert "Anna Andersson" in shown.out and "+46701740601" in shown.out and "set" in shown.out
    assert "yes" in (await typed(cli, "customer", "show", "10002")).out.partition("locked")[2]

    # the desk, which was not there: its settings, then `init` again, which makes the first administrator
    settings = settings_of(old, server)
    ended = await typed(cli, "init")
    assert ended.code == 0 and "added admin of main as administrator" in ended.out
    token = Secret(ended.out.strip().rpartition("/")[2])
    async with house_of(settings) as house:
        anna = await (await Customers.open(house.database, house.vault)).by_number(Secret("10001"))
        assert anna.known and anna.language == "sv"
        assert await house.vault.pins.matches(Secret("2580"), anna.pin)
        assert not await house.vault.pins.matches(Secret("2581"), anna.pin)
        offer = await house.welcome.offer(token)
        assert offer is not None and offer.person.login == "admin"
        house.keys["admin"] = offer.key
        code = Secret(pyotp.TOTP(offer.key.reveal()).now())
        assert isinstance(await house.welcome.accept(token, Secret(PASSWORD), code, offer.sealed, HERE), Person)
        assert isinstance(await house.sign_in("admin"), SignedIn)
    assert (await typed(cli, "audit", "verify")).code == 0


async def typed(cli: Cli, *arguments: str) -> Ended:
    """In a thread: the command has an event loop of its own."""
    return await asyncio.to_thread(cli, *arguments)


async def written(settings: Settings) -> list[tuple[Any, ...]]:
    """The audit trail, whole."""
    query = (
        "SELECT seq, action, outcome, actor, subject, detail, previous, hash, signature FROM audit ORDER BY chain, seq"
    )
    async with await Database.open_any(settings) as database:
        return await asked(database, query)


# ---------------------------------------------------------------- files that an administrator has filled in


def test_the_settings_of_then_are_known_now(tmp_path: Path) -> None:
    """Each one that the sample of then shows is there, and what is new does not begin by itself."""

    def known(file: Path) -> set[tuple[str, str]]:
        found, table = set(), ""
        for line in file.read_text().splitlines():
            if begun := re.fullmatch(r"(?:# )?\[([\w.]+)\]", line):
                table = begun[1]
            elif field := re.match(r"(?:# )?(\w+) = ", line):
                found.add((table, field[1]))
        return found

    then = known(BEFORE / "tillit.toml")
    assert len(then) > 90 and then <= known(CHECKOUT / "config" / "tillit.toml")
    shutil.copy(BEFORE / "tillit.toml", tmp_path)
    settings = load(tmp_path / "tillit.toml")
    assert (settings.desk.listen, settings.proxy.listen, settings.webhooks, settings.clients) == (None, None, {}, {})


def test_of_asterisks_file_nothing_else_is_another_than_the_page_says() -> None:
    then, now = (
        dict(re.findall(r"(?ms)^\[([^]]+)\](.*?)(?=^\[|\Z)", file.read_text()))
        for file in (BEFORE / "manager.conf", CHECKOUT / "config" / "asterisk" / "manager.conf")
    )
    ends = re.compile(r"(?m)^;.*\n?|\s+\Z")
    assert set(now) - set(then) == {"tillit-desk"}
    for section, text in then.items():
        assert ends.sub("", text) == ends.sub("", now[section]), section
    # and the worker's users are told of no keys, as ever
    for user in ("tillit", "tillit-events"):
        assert keeps_keys_out(of_user([(BEFORE / "manager.conf").read_text()], user))
    assert "write = call,reporting,user" in now["tillit-desk"] and "write = call,reporting,user" in UPGRADES


def test_of_redis_file_nothing_else_is_another_than_the_page_says() -> None:
    then, now = (
        [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
        for file in (BEFORE / "redis.conf", CHECKOUT / "config" / "redis.conf")
    )
    (before,), (after, page) = ([line for line in one if line not in two] for one, two in ((then, now), (now, then)))
    assert page.startswith("user tillit-page on resetpass resetkeys ~tillit:page:* ") and "`tillit-page`" in UPGRADES
    more = set(after.split()) - set(before.split())
    assert more == {"&tillit:*", "+publish", "+subscribe"} and all(f"`{right}`" in UPGRADES for right in more)
    assert before.startswith("user tillit ")


class OfThen(Redis):
    """A Redis by the sample of then."""

    def __init__(self) -> None:
        super().__init__(name="then")
        self._config.write_text(sampled(self, self.password, BEFORE / "redis.conf"))


async def test_without_the_rights_that_are_new_callers_are_verified_and_desks_are_late(tmp_path: Path) -> None:
    """An administrator who has left redis.conf as it was."""
    with OfThen() as redis:
        (tmp_path / "redis.password").touch(0o600)
        (tmp_path / "redis.password").write_text(redis.password)
        settings = settings_in(
            tmp_path,
            f'[redis]\nurl = "redis://{HOST}:{redis.port}/0"\nusername = "tillit"\npassword_file = "redis.password"\n',
        )
        log = Log()
        live = await RedisLive.open(settings)
        try:
            assert await live.attempt(ANNA) == Granted()
            await live.give_back(ANNA)
            assert await live.open_challenge(SENT, RULES) == Opened()
            assert await live.try_challenge(SENT, ANNA, RULES) == Right()
            mark = Mark("node", "channel", "ref", 2, ("pin",), "main", int(time.time()) + 60, "nonce")
            await placed(live, mark)
            assert await live.mark("node", "channel") == mark
        finally:
            await live.close()
        looked: list[Heard] = []
        async with (
            RedisDesks.of(settings, log) as desks,  # type: ignore[arg-type]
            News(settings, told=looked.append, came=lambda: None, log=log),  # type: ignore[arg-type]
        ):
            desks.changed("node", "channel")
            await until(lambda: {"news.lost", "desks.untold"} <= {line["event"] for line in log.lines})
        assert looked == [] and all("NOPERM" in line["error"] for line in log.lines), log.lines


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.02)
