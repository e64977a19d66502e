"""`customer partner`: what an app of another company calls a customer is put on record, shown masked, exported, and taken away."""

from __future__ import annotations

import time

import orjson
import pytest

from ivr.config import Settings
from tests.unit.cli_kit import Cli, Ended, trail
from tests.unit.database_kit import directly, rows

ID = "canary-77-4711"
PARTNERS = """
[prove]
ways = ["text", "partner"]
partners = ["bank", "insurer"]

[apps.bank]
url = "https://app.bank.example/tillit"
secret_file = "bank.app"

[apps.insurer]
url = "https://app.insurer.example/tillit"
secret_file = "insurer.app"

[apps.ours]
url = "https://app.example.com/tillit"
secret_file = "ours.app"
"""


@pytest.fixture
def partnered(made: Settings) -> Settings:
    """The settings name two partners."""
    with made.file.open("a", encoding="utf-8") as stream:
        stream.write(PARTNERS)
    return made


def put(cli: Cli, id: str, partner: str = "bank", number: str = "10001", code: str = "utf-8") -> Ended:
    return cli("customer", "partner", "set", number, partner, stdin=f"{id}\n".encode(code))


def test_an_id_is_put_on_record_in_place_of_any_other(cli: Cli, partnered: Settings) -> None:
    (ref,) = rows(partnered, "SELECT ref FROM customers")[0]
    for id_ in ("former", ID):
        ended = put(cli, id_)
        assert (ended.code, ended.out) == (0, f"Kept the id at bank of customer {ref}\n")
    assert trail(partnered)[-2:] == [("cli", "customer.show", "done"), ("cli", "customer.partner_set", "done")]
    assert rows(partnered, "SELECT customer, kind FROM customer_identities") == [(ref, "app.bank")]
    assert b"canary" not in partnered.file.with_name("tillit.db").read_bytes()
    assert "canary" not in str(rows(partnered, "SELECT detail FROM audit"))


def test_show_masks_it_and_export_has_it_whole(cli: Cli, partnered: Settings) -> None:
    put(cli, ID)
    put(cli, "i-1", "insurer")
    today = time.strftime("%Y-%m-%d", time.gmtime())
    shown = cli("customer", "show", "10001").out
    assert f"partner    bank c…, since {today}\npartner    insurer i…, since {today}\n" in shown
    assert "identity" not in shown
    assert f"partner    bank {ID}, since {today}\n" in cli("customer", "show", "10001", "--reveal").out
    exported = orjson.loads(cli("customer", "export", "10001").out)
    assert exported["partners"] == [
        {"partner": "bank", "id": ID, "since": today}, {"partner": "insurer", "id": "i-1", "since": today}
    ]  # fmt: skip
    assert exported["identities"] == []


@pytest.mark.parametrize("typed", ["", " id", "a\tb", "x" * 257])
def test_what_is_no_id(cli: Cli, partnered: Settings, typed: str) -> None:
    ended = put(cli, typed)
    assert (ended.code, ended.err.split(",")[0]) == (2, "id: is empty")
    assert rows(partnered, "SELECT * FROM customer_identities") == []


@pytest.mark.parametrize("letter", ["å", "한", "𝒜"])
def test_an_id_of_letters_of_many_bytes_is_kept_whole(cli: Cli, partnered: Settings, letter: str) -> None:
    assert put(cli, letter * 256).code == 0
    assert orjson.loads(cli("customer", "export", "10001").out)["partners"][0]["id"] == letter * 256
    assert put(cli, letter * 257).code == 2


def test_an_id_that_is_not_utf_8(cli: Cli, partnered: Settings) -> None:
    ended = put(cli, "å1", code="latin-1")
    assert (ended.code, ended.err.split(",")[0]) == (2, "id: is not UTF-8")
    assert rows(partnered, "SELECT * FROM customer_identities") == []


def test_the_companys_own_app_is_no_partner(cli: Cli, partnered: Settings) -> None:
    ended = put(cli, ID, "ours")
    assert ended.code == 2
    assert ended.err.endswith("Name one of: bank, insurer\n")
    assert trail(partnered)[-1] != ("cli", "customer.show", "done")


def test_without_partners_there_is_nothing_to_be_kept(cli: Cli, made: Settings) -> None:
    ended = put(cli, ID)
    assert (ended.code, ended.err.endswith("Add one: docs/push.md says what it needs\n")) == (2, True)


def test_remove(cli: Cli, partnered: Settings) -> None:
    """Also of a partner that the settings name no longer."""
    (ref,) = rows(partnered, "SELECT ref FROM customers")[0]
    put(cli, ID)
    put(cli, "i-1", "insurer")
    partnered.file.write_text(partnered.file.read_text().replace(PARTNERS, ""))
    ended = cli("customer", "partner", "remove", "10001", "bank")
    assert ended.out == f"Removed the id at bank of customer {ref}\n"
    assert trail(partnered)[-1] == ("cli", "customer.partner_remove", "done")
    assert rows(partnered, "SELECT kind FROM customer_identities") == [("app.insurer",)]
    ended = cli("customer", "partner", "remove", "10001", "bank")
    assert (ended.code, ended.err) == (2, "partner: this customer has no id there on record. Nothing was done\n")
    assert trail(partnered)[-1] == ("cli", "customer.partner_remove", "none")


def test_nothing_is_done_without_its_row(cli: Cli, partnered: Settings) -> None:
    put(cli, ID)
    before = rows(partnered, "SELECT * FROM customer_identities")
    with directly(partnered) as database:
        database.execute(
            "CREATE TRIGGER no BEFORE INSERT ON audit WHEN NEW.action LIKE 'customer.partner%' BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    assert put(cli, "another").code == 1
    assert cli("customer", "partner", "remove", "10001", "bank").code == 1
    assert rows(partnered, "SELECT * FROM customer_identities") == before


def test_who_is_removed_has_none(cli: Cli, partnered: Settings) -> None:
    put(cli, ID)
    assert cli("customer", "remove", "10001", "--yes").code == 0
    assert rows(partnered, "SELECT * FROM customer_identities") == []


def test_a_number_that_nobody_has(cli: Cli, partnered: Settings) -> None:
    for ended in (put(cli, ID, number="10009"), cli("customer", "partner", "remove", "10009", "bank")):
        assert (ended.code, ended.out, ended.err) == (2, "", "number: no customer has it. Nothing was done\n")
