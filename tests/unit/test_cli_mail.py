"""`customer mail`: an address is put on record, and taken from it."""

from __future__ import annotations

import time

import orjson
import pytest

from ivr.config import Settings
from tests.unit.cli_kit import Cli, trail
from tests.unit.database_kit import directly, rows

ADDRESS = "anna.canary@customer.example"


def test_an_address_is_put_on_record_in_place_of_any_other(cli: Cli, made: Settings) -> None:
    (ref,) = rows(made, "SELECT ref FROM customers")[0]
    for address in ("former@customer.example", ADDRESS):
        ended = cli("customer", "mail", "set", "10001", address)
        assert (ended.code, ended.out) == (0, f"Kept the mail address of customer {ref}\n")
    assert trail(made)[-1] == ("cli", "customer.mail_set", "done")
    [(customer, since)] = rows(made, "SELECT customer, since FROM customer_mails")
    assert (customer, since) == (ref, pytest.approx(time.time(), abs=60))
    assert b"canary" not in made.file.with_name("tillit.db").read_bytes()


def test_show_and_export_tell_of_it(cli: Cli, made: Settings) -> None:
    assert "mail       none\n" in cli("customer", "show", "10001").out
    assert orjson.loads(cli("customer", "export", "10001").out)["mail"] is None
    assert cli("customer", "mail", "set", "10001", ADDRESS).code == 0
    assert "mail       a…\n" in cli("customer", "show", "10001").out
    assert f"mail       {ADDRESS}\n" in cli("customer", "show", "10001", "--reveal").out
    assert orjson.loads(cli("customer", "export", "10001").out)["mail"] == ADDRESS


@pytest.mark.parametrize("address", ["", "anna", "anna@", "@example.com", "anna@localhost", "a@b.example\nBcc: c@d.example", "<anna@example.com>"])  # fmt: skip
def test_what_is_no_address(cli: Cli, made: Settings, address: str) -> None:
    ended = cli("customer", "mail", "set", "10001", address)
    assert (ended.code, ended.err) == (2, "address: is none, such as anna@example.com. Nothing was done\n")
    assert rows(made, "SELECT * FROM customer_mails") == []


def test_remove(cli: Cli, made: Settings) -> None:
    (ref,) = rows(made, "SELECT ref FROM customers")[0]
    cli("customer", "mail", "set", "10001", ADDRESS)
    assert cli("customer", "mail", "remove", "10001").out == f"Removed the mail address of customer {ref}\n"
    assert trail(made)[-1] == ("cli", "customer.mail_remove", "done")
    assert rows(made, "SELECT * FROM customer_mails") == []
    ended = cli("customer", "mail", "remove", "10001")
    assert (ended.code, ended.err) == (2, "number: this customer has no mail address on record. Nothing was done\n")
    assert trail(made)[-1] == ("cli", "customer.mail_remove", "none")


def test_nothing_is_done_without_its_row(cli: Cli, made: Settings) -> None:
    cli("customer", "mail", "set", "10001", ADDRESS)
    before = rows(made, "SELECT * FROM customer_mails")
    with directly(made) as database:
        database.execute(
            "CREATE TRIGGER no BEFORE INSERT ON audit WHEN NEW.action LIKE 'customer.mail%' BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    for command in (("set", "10001", "other@customer.example"), ("remove", "10001")):
        assert cli("customer", "mail", *command).code == 1
    assert rows(made, "SELECT * FROM customer_mails") == before


def test_who_is_removed_has_none(cli: Cli, made: Settings) -> None:
    cli("customer", "mail", "set", "10001", ADDRESS)
    assert cli("customer", "remove", "10001", "--yes").code == 0
    assert rows(made, "SELECT * FROM customer_mails") == []


def test_a_number_that_nobody_has(cli: Cli, made: Settings) -> None:
    for command in (("set", "10009", ADDRESS), ("remove", "10009")):
        ended = cli("customer", "mail", *command)
        assert (ended.code, ended.out, ended.err) == (2, "", "number: no customer has it. Nothing was done\n")
