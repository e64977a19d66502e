"""`customer totp`: an app is enrolled by showing a code of it, and taken away."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import orjson
import pyotp
import pytest

from ivr.config import Settings
from tests.unit.cli_kit import Cli, Phone, shows, trail
from tests.unit.database_kit import directly, rows


def other(uri: str) -> str:
    """Something else: of an hour ago."""
    app = pyotp.parse_uri(uri)
    assert isinstance(app, pyotp.TOTP)
    return app.at(int(time.time()) - 3600)


def enrol(cli: Cli, *tells: Callable[[str], str]) -> str:
    phone = Phone(*tells or (shows,))
    ended = cli("customer", "totp", "add", "10001", stdin=phone)
    assert ended.code == 0, ended
    return phone.uri


def test_an_app_is_enrolled_by_what_it_shows(cli: Cli, made: Settings) -> None:
    (ref,) = rows(made, "SELECT ref FROM customers")[0]
    phone = Phone(shows)
    ended = cli("customer", "totp", "add", "10001", stdin=phone)
    assert ended.code == 0
    assert ended.out.endswith(f"{phone.uri}\nEnrolled the authenticator app of customer {ref}\n")
    assert "█" in ended.out, "a picture for the app to read"
    app = pyotp.parse_uri(phone.uri)
    assert (app.issuer, app.name) == ("Example", ref), "no name and no number stands in the app"
    assert ended.err == "Let the customer's app read it, now: it is not shown again\n"
    assert trail(made)[-2:] == [("cli", "customer.show", "done"), ("cli", "customer.totp_add", "done")]
    [(counter,)] = rows(made, "SELECT counter FROM customer_totps")
    assert counter == pytest.approx(time.time() / 30, abs=2), "the code that was shown is used"
    assert app.secret.encode() not in made.file.with_name("tillit.db").read_bytes()


def test_show_and_export_tell_of_it_and_not_its_key(cli: Cli, made: Settings) -> None:
    key = pyotp.parse_uri(enrol(cli)).secret
    today = time.strftime("%Y-%m-%d", time.gmtime())
    shown = cli("customer", "show", "10001", "--reveal").out
    assert f"app        since {today}\n" in shown
    exported = cli("customer", "export", "10001").out
    assert orjson.loads(exported)["authenticator_app"] == f"since {today}; its key is shown to nobody again"
    assert key not in shown + exported
    assert cli("customer", "totp", "remove", "10001").code == 0
    assert orjson.loads(cli("customer", "export", "10001").out)["authenticator_app"] is None


def test_a_slip_is_told_and_asked_again(cli: Cli, made: Settings) -> None:
    enrol(cli, other, lambda _: "", shows)
    assert rows(made, "SELECT count(*) FROM customer_totps") == [(1,)]


def test_an_app_that_shows_something_else_is_not_enrolled(cli: Cli, made: Settings) -> None:
    ended = cli("customer", "totp", "add", "10001", stdin=Phone(other, other, other, shows))
    assert ended.code == 2
    assert ended.err.splitlines()[-1] == "code: is not what an app with this key shows now. Nothing was done"
    assert rows(made, "SELECT * FROM customer_totps") == []
    assert "customer.totp_add" not in {action for _, action, _ in trail(made)}


def test_a_new_app_takes_the_place_of_the_one_before(cli: Cli, made: Settings) -> None:
    first, second = enrol(cli), enrol(cli)
    assert first != second
    assert rows(made, "SELECT count(*) FROM customer_totps") == [(1,)]


def test_no_row_no_app(cli: Cli, made: Settings) -> None:
    enrol(cli)
    before = rows(made, "SELECT * FROM customer_totps")
    with directly(made) as connection:
        connection.execute(
            "CREATE TRIGGER broken BEFORE INSERT ON audit WHEN NEW.action LIKE 'customer.totp_%' "
            "BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    for command, stdin in (("add", Phone(shows)), ("remove", io.BytesIO())):
        ended = cli("customer", "totp", command, "10001", stdin=stdin)
        assert (ended.code, ended.err.splitlines()[-1]) == (1, "database: SQLITE_CONSTRAINT_TRIGGER")
    assert rows(made, "SELECT * FROM customer_totps") == before


def test_remove(cli: Cli, made: Settings) -> None:
    (ref,) = rows(made, "SELECT ref FROM customers")[0]
    enrol(cli)
    assert cli("customer", "totp", "remove", "10001").out == f"Removed the authenticator app of customer {ref}\n"
    assert trail(made)[-1] == ("cli", "customer.totp_remove", "done")
    assert rows(made, "SELECT * FROM customer_totps") == []
    ended = cli("customer", "totp", "remove", "10001")
    assert (ended.code, ended.err) == (2, "number: this customer has no authenticator app. Nothing was done\n")
    assert trail(made)[-1] == ("cli", "customer.totp_remove", "none")


def test_a_number_that_nobody_has(cli: Cli, made: Settings) -> None:
    for command in ("add", "remove"):
        ended = cli("customer", "totp", command, "10009", stdin=Phone(shows))
        assert (ended.code, ended.out) == (2, "")
        assert ended.err == "number: no customer has it. Nothing was done\n"
