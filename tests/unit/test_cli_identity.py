"""`customer identity`: what a customer is called at a provider is entered, shown masked, exported, and taken away."""

from __future__ import annotations

import time

import orjson
import pytest

from ivr.config import Settings
from tests.unit.cli_kit import Cli, trail
from tests.unit.database_kit import rows

WHO = "199001012385"
PROVIDERS = """
[eid.bankid]
certificate_file = "a"
key_file = "b"
ca_file = "c"

[eid.brokers.example]
issuer = "https://eid.example"
client_id = "tillit"
client_secret_file = "s"
acr = {"high" = 3}
"""


@pytest.fixture
def asking(made: Settings) -> Settings:
    """The settings name two providers."""
    with made.file.open("a", encoding="utf-8") as stream:
        stream.write(PROVIDERS)
    return made


def add(cli: Cli, who: str, *more: str, code: str = "utf-8") -> tuple[int, str]:
    ended = cli("customer", "identity", "add", "10001", *more, stdin=f"{who}\n".encode(code))
    return ended.code, ended.err


@pytest.mark.parametrize("typed", [WHO, "19900101-2385"])
def test_a_person_number_is_entered(cli: Cli, asking: Settings, typed: str) -> None:
    assert add(cli, typed) == (0, "")
    assert trail(asking)[-2:] == [("cli", "customer.show", "done"), ("cli", "customer.identity_add", "done")]
    assert rows(asking, "SELECT kind FROM customer_identities") == [("SE",)]
    assert WHO.encode() not in asking.file.with_name("tillit.db").read_bytes()
    assert WHO not in str(rows(asking, "SELECT detail FROM audit"))


def test_show_masks_it_and_export_has_it_whole(cli: Cli, asking: Settings) -> None:
    add(cli, WHO)
    add(cli, "subject-7", "--kind", "example")
    today = time.strftime("%Y-%m-%d", time.gmtime())
    shown = cli("customer", "show", "10001").out
    assert f"identity   SE 199…85, since {today}\nidentity   example s…, since {today}\n" in shown
    assert f"identity   SE {WHO}, since {today}\n" in cli("customer", "show", "10001", "--reveal").out
    exported = orjson.loads(cli("customer", "export", "10001").out)
    assert exported["identities"] == [
        {"kind": "SE", "name": WHO, "since": today}, {"kind": "example", "name": "subject-7", "since": today}
    ]  # fmt: skip
    assert exported["identifications"] == []


@pytest.mark.parametrize(
    "typed",
    ["", "199001012386", "9001012385", "19900101238X", "198013012391", "198002302399", "1990-01012385", "१९९००१०१२३८५"],
)
def test_what_is_no_person_number_is_not_entered(cli: Cli, asking: Settings, typed: str) -> None:
    code, said = add(cli, typed)
    assert code == 2
    assert said.startswith("identity: is no Swedish person number of twelve digits")
    assert rows(asking, "SELECT * FROM customer_identities") == []


def test_a_co_ordination_number_is_one(cli: Cli, asking: Settings) -> None:
    assert add(cli, "198001612392") == (0, "")


@pytest.mark.parametrize("typed", ["", " subject", "a\tb", "x" * 257])
def test_a_brokers_name_is_one_that_can_be_shown(cli: Cli, asking: Settings, typed: str) -> None:
    code, said = add(cli, typed, "--kind", "example")
    assert (code, said.split(",")[0]) == (2, "identity: is empty")


@pytest.mark.parametrize("letter", ["å", "한", "𝒜"])
def test_a_name_of_letters_of_many_bytes_is_kept_whole(cli: Cli, asking: Settings, letter: str) -> None:
    assert add(cli, letter * 256, "--kind", "example") == (0, "")
    assert orjson.loads(cli("customer", "export", "10001").out)["identities"][0]["name"] == letter * 256
    assert add(cli, letter * 257, "--kind", "example")[0] == 2


def test_a_name_that_is_not_utf_8(cli: Cli, asking: Settings) -> None:
    code, said = add(cli, "å1", "--kind", "example", code="latin-1")
    assert (code, said.split(",")[0]) == (2, "identity: is not UTF-8")
    assert rows(asking, "SELECT * FROM customer_identities") == []


def test_a_kind_that_no_provider_goes_by_is_none(cli: Cli, asking: Settings) -> None:
    code, said = add(cli, WHO, "--kind", "NO")
    assert code == 2
    assert said.endswith("goes by it. Name one of: SE, example\n")


def test_without_providers_there_is_nothing_to_be_entered(cli: Cli, made: Settings) -> None:
    code, said = add(cli, WHO)
    assert code == 2
    assert said.endswith("goes by it. Add one: docs/eid.md says what it needs\n")


def test_it_is_taken_away(cli: Cli, asking: Settings) -> None:
    add(cli, WHO)
    (ref,) = rows(asking, "SELECT ref FROM customers")[0]
    assert cli("customer", "identity", "remove", "10001").out == f"Removed the SE identity of customer {ref}\n"
    assert rows(asking, "SELECT * FROM customer_identities") == []
    ended = cli("customer", "identity", "remove", "10001")
    assert (ended.code, ended.err) == (2, "--kind: this customer has no such identity. Nothing was done\n")
    assert trail(asking)[-1] == ("cli", "customer.identity_remove", "none")
