"""Settings for gateways that are a local server, and everything that must not be found anywhere."""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ivr.config import Settings, load
from ivr.secret import Personal, Secret
from ivr.sms import InTurn, in_turn
from tests.contract.ari_log import Log, texts
from tests.contract.texts_server import (
    ACCOUNT,
    APPLICATION,
    KEY,
    PASSWORD,
    USERNAME,
    Api,
    anything,
    application_key,
    elks,
    twilio,
    vonage,
)

TO = Personal("+46701740601")
# quotation marks, a backslash, braces, a line's end, and what a form and JSON write differently
TEXT = Secret('Acme: 135790 "is" {to} {secret} your\\code, 100 % & å€😀\nNever read it to anyone.')
CANARIES = ("46701740601", "701740601", "135790", PASSWORD)

SERVED: dict[str, tuple[Api, str]] = {
    "46elks": (elks, "/a1"),
    "twilio": (twilio, ""),
    "vonage": (vonage, ""),
    "http": (anything, "/send"),
}


def tables(name: str, url: str) -> dict[str, dict[str, object]]:
    """The table of a gateway that is at this address; `password` is a file beside the settings."""
    own: dict[str, dict[str, object]] = {
        "46elks": {"username": USERNAME, "password_file": "password", "sender": "Acme"},
        "twilio": {"account_sid": ACCOUNT, "api_key": KEY, "password_file": "password", "sender": "Acme"},
        "vonage": {"application_id": APPLICATION, "key_file": "vonage.key", "sender": "Acme"},
        "http": {
            "headers": {"Authorization": "Bearer {secret}"},
            "body": {"to": "{to}", "text": "{text}", "from": "{from}"},
            "secret_file": "password",
            "sender": "Acme",
        },
    }
    return {f"texts.{name}": {**own[name], "url": url + SERVED[name][1], "allow_private": ["127.0.0.1"]}}


def settings_in(folder: Path, **overlay: Mapping[str, object]) -> Settings:
    """Settings with these tables."""
    password = folder / "password"
    password.touch(0o600)
    password.write_text(PASSWORD)
    key = folder / "vonage.key"
    key.touch(0o600)
    key.write_bytes(application_key().as_pem(private=True))
    whole: dict[str, Mapping[str, object]] = {
        "company": {"name": "Acme", "country": "SE"},
        "policies.usual": {"steps": ["pin"], "level": 1},
    } | dict(overlay)
    file = folder / "tillit.toml"
    file.write_text(
        "\n".join(
            line
            for table, fields in whole.items()
            for line in (f"[{table}]", *(f"{field} = {_toml(value)}" for field, value in fields.items()))
        )
    )
    return load(file)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_toml(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


@dataclass
class Sender:
    """A gateway as the settings make it, and its log."""

    gateways: InTurn
    log: Log

    async def send(self, to: Personal = TO) -> None:
        await self.gateways.send(to, TEXT)


def sender(folder: Path, url: str, name: str, seconds: float = 5.0, **fields: object) -> Sender:
    """The gateway of this name, alone."""
    table = tables(name, url)
    table[f"texts.{name}"].update(fields)
    log = Log()
    settings = settings_in(folder, texts={"gateway": name, "seconds": seconds}, **table)
    return Sender(in_turn(settings, log.logger), log)


def shown(error: BaseException | None, log: Log) -> str:
    """Everything that can be seen of an error and in a log."""
    return "\n".join([*texts(error), *map(str, log.lines)])


def no_canary(told: str) -> None:
    """Nothing secret, no number, and nothing of the text."""
    assert not [canary for canary in CANARIES if canary in told], told


def certificate(folder: Path, name: str, valid_for: str, days: int = 2) -> tuple[Path, ssl.SSLContext]:
    """A certificate of our own, and a server's side of TLS with it."""
    file, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=test",
         "-addext", f"subjectAltName={valid_for}", "-days", str(days), "-keyout", key, "-out", file],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    return file, context
