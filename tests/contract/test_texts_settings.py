"""The settings of text messages: what is missing or wrong is named, with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from ivr.config import Settings
from ivr.errors import ConfigError
from ivr.sms import in_turn
from tests.contract.ari_log import Log
from tests.contract.texts_kit import settings_in, tables

LACKING = [
    ("46elks", "username", "username"),
    ("46elks", "password_file", "password_file"),
    ("46elks", "sender", "sender"),
    ("twilio", "account_sid", "account_sid"),
    ("twilio", "password_file", "password_file"),
    ("twilio", "sender", "sender"),
    ("http", "url", "url"),
    ("http", "body", "body"),
    ("http", "secret_file", "secret_file"),
]


def made(folder: Path, name: str, **fields: object) -> Settings:
    table = tables(name, "https://sms.example.com")
    table[f"texts.{name}"].update(fields)
    own = {field: value for field, value in table[f"texts.{name}"].items() if value is not None}
    return settings_in(folder, texts={"gateway": name}, **{f"texts.{name}": own})


@pytest.mark.parametrize(("name", "left_out", "place"), LACKING)
def test_what_is_missing_is_named(name: str, left_out: str, place: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is missing") as caught:
        in_turn(made(tmp_path, name, **{left_out: None}), Log().logger)
    assert caught.value.place == f"{tmp_path / 'tillit.toml'}: [texts.{name}] {place}"


@pytest.mark.parametrize(
    ("name", "fields", "says"),
    [
        ("46elks", {"sender": "Ac"}, "46elks] sender"),
        ("46elks", {"sender": "Acme Telecom"}, "46elks] sender"),
        ("46elks", {"sender": "1Acme"}, "46elks] sender"),
        ("twilio", {"sender": "ExampleTelecom"}, "twilio] sender"),
        ("twilio", {"sender": "Åcme"}, "twilio] sender"),
        ("twilio", {"sender": "12345"}, "twilio] sender"),
        ("twilio", {"sender": "+12"}, "twilio] sender"),
        ("twilio", {"messaging_service": "MG" + "3" * 32}, "both sender and messaging_service"),
        ("twilio", {"account_sid": "AC1/../x"}, "twilio] account_sid"),
        ("http", {"url": "https://example.com/?to={to}"}, "http] url"),
        ("http", {"url": "https://example.com/{to}"}, "http] url"),
        ("http", {"url": "https://user:pass@example.com/"}, "http] url"),
        ("http", {"url": "file:///etc/passwd"}, "http] url"),
        ("http", {"method": "GET"}, "http] method"),
        ("http", {"body": {"to": "{to}"}}, "no {text}"),
        ("http", {"body": {"to": "{to}", "text": "{text} {code}"}}, "{code} is no placeholder"),
        ("http", {"body": {"{to}": "{to}", "text": "{text}"}}, "stands in a name"),
        ("http", {"body": {"to": "{to}", "text": "{text}", "a": ["{x}"]}}, "{x} is no placeholder"),
        ("http", {"body": {"to": "{to}", "text": "{text}", "n": 1}, "format": "form"}, "no texts"),
        ("http", {"sender": None, "body": {"to": "{to}", "text": "{text}{from}"}}, "sender is missing"),
        ("http", {"headers": {"X": "{to}"}}, "only {secret}"),
        ("http", {"headers": {"X": "a\r\nb"}}, "cannot be sent"),
        ("http", {"headers": {"X Y": "a"}}, "cannot be sent"),
        ("http", {"headers": {"content-LENGTH": "1"}}, "written by the program"),
        ("http", {"ok_field": "status"}, "go together"),
        ("http", {"ok_values": ["ok"]}, "go together"),
        ("http", {"refused_statuses": [200]}, "http] refused_statuses"),
        ("http", {"allow_private": ["10.0.0.0/8"]}, "http] allow_private"),
    ],
)
def test_what_is_wrong_is_named(name: str, fields: dict[str, object], says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        made(tmp_path, name, **fields)
    assert says in str(caught.value)
    assert "tillit.toml" in caught.value.place


@pytest.mark.parametrize("secret", ["two\nlines", "å", "a\x00b"])
def test_a_secret_that_no_header_can_carry_is_refused(secret: str, tmp_path: Path) -> None:
    settings = made(tmp_path, "http")
    (tmp_path / "password").write_text(secret)
    with pytest.raises(ConfigError, match="one line of ASCII"):
        in_turn(settings, Log().logger)


def test_the_same_gateway_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the same as gateway"):
        settings_in(tmp_path, texts={"gateway": "twilio", "fallback": "twilio"})


@pytest.mark.parametrize("country", ["UK", "se", "ZZ", "001", ""])
def test_a_country_that_is_none_is_refused(country: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="texts. countries"):
        settings_in(tmp_path, texts={"countries": [country]})
