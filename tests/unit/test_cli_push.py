"""`customer push`: browsers are forgotten, and told of."""

from __future__ import annotations

import asyncio

import orjson

from ivr.config import Settings
from ivr.database import Database
from ivr.secret import Personal, Secret
from ivr.store.pushes import Pushes
from ivr.vault import Vault
from tests.unit.cli_kit import Cli, trail
from tests.unit.database_kit import directly, rows


def switched_on(made: Settings, *names: str) -> str:
    """In these browsers of customer 10001's; the reference."""
    (ref,) = rows(made, "SELECT ref FROM customers")[0]

    async def keep() -> None:
        async with await Database.open(made) as database:
            vault = Vault.open(made)
            pushes, phone = Pushes(database, vault, lambda: 1_700_000_000), vault.index.phone(Personal("+46701234567"))
            for name in names:
                assert await pushes.keep(
                    ref, Secret(f'{{"endpoint":"https://push.example/{name}-canary"}}'), phone, "key", 0
                )

    asyncio.run(keep())
    return str(ref)


def test_show_and_export_tell_of_them(cli: Cli, made: Settings) -> None:
    assert "browsers   none\n" in cli("customer", "show", "10001").out
    switched_on(made, "a", "b")
    assert "browsers   2\n" in cli("customer", "show", "10001").out
    shown = orjson.loads(cli("customer", "export", "10001").out)["browsers"]
    assert shown == [{"since": "2023-11-14"}] * 2
    assert b"canary" not in made.file.with_name("tillit.db").read_bytes()


def test_remove(cli: Cli, made: Settings) -> None:
    ref = switched_on(made, "a", "b")
    assert cli("customer", "push", "remove", "10001").out == f"Removed the browsers of customer {ref}: 2\n"
    assert trail(made)[-1] == ("cli", "customer.push_remove", "done")
    assert rows(made, "SELECT * FROM customer_pushes") == []
    ended = cli("customer", "push", "remove", "10001")
    said = "number: this customer has switched it on in no browser. Nothing was done\n"
    assert (ended.code, ended.err) == (2, said)
    assert trail(made)[-1] == ("cli", "customer.push_remove", "none")


def test_nothing_is_done_without_its_row(cli: Cli, made: Settings) -> None:
    switched_on(made, "a")
    with directly(made) as database:
        database.execute(
            "CREATE TRIGGER no BEFORE INSERT ON audit WHEN NEW.action LIKE 'customer.push%' BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    assert cli("customer", "push", "remove", "10001").code == 1
    assert len(rows(made, "SELECT * FROM customer_pushes")) == 1


def test_who_is_removed_has_none(cli: Cli, made: Settings) -> None:
    switched_on(made, "a")
    assert cli("customer", "remove", "10001", "--yes").code == 0
    assert rows(made, "SELECT * FROM customer_pushes") == []
