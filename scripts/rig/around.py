"""Whom Tillit asks outside of the company, as servers of this machine: a gateway of text messages, and BankID."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from rig.bankid import BankIdServer
from rig.certificates import Authority, Certificate
from rig.elks import PASSWORD, USERNAME, elks, elks_report
from rig.outside import Asked, Status, TextsServer
from rig.tables import Tables

PASSWORDS = {"elks.password": PASSWORD}
"""Files beside the settings."""
# a personal number of those that Skatteverket gives out for tests
PERSON = "199001012385"


@dataclass
class Gateway:
    """46elks; it remembers what it calls each text."""

    ids: list[str] = field(default_factory=list)

    def __call__(self, asked: Asked) -> Status:
        answer = elks(asked)
        if isinstance(answer.body, dict):
            self.ids.append(answer.body["id"])
        return answer


@dataclass
class Around:
    """Both of them."""

    gateway: TextsServer
    texts: Gateway
    bankid: BankIdServer
    tables: Tables
    """What the settings say of them; `[texts] gateway` does not name the gateway yet."""

    async def text(self) -> dict[str, str]:
        """The first text that is handed over: its fields, as 46elks is sent them."""
        return (await self.gateway.until_asked(1)).form

    async def deliver(self, text: dict[str, str]) -> int:
        """Report that the latest text has arrived, where it asks for that; the status of the answer."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        report = elks_report(self.texts.ids[-1], "delivered")
        async with (
            aiohttp.ClientSession() as gateway,
            gateway.post(text["whendelivered"], data=report, headers=kind) as answer,
        ):
            return answer.status


@asynccontextmanager
async def around(folder: Path) -> AsyncIterator[Around]:
    """Until the block is left; certificates go into that folder."""
    theirs, ours = Authority(folder, "bankid"), Authority(folder, "bankid-customers")
    own = ours.issue("rp.example")
    texts, orders = Gateway(), BankIdServer()
    async with TextsServer(texts) as gateway, TextsServer(orders, _mutual(theirs.issue("127.0.0.1"), ours)) as bankid:
        at_home = ["127.0.0.1"]
        yield Around(gateway, texts, orders, {
            "texts.46elks": {
                "username": USERNAME, "password_file": "elks.password", "sender": "Example", "url": f"{gateway.url}/a1", "allow_private": at_home,
            },
            "eid.bankid": {
                "url": f"{bankid.url}/rp/v6.0", "certificate_file": str(own.chain), "key_file": str(own.key), "ca_file": str(theirs.file),
                "allow_private": at_home,
            },
            "policies.strict": {"steps": ["bankid"], "level": 3},
        })  # fmt: skip


def _mutual(own: Certificate, customers: Authority) -> ssl.SSLContext:
    """BankID's side of TLS: whoever asks shows a certificate of its own."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(customers.file))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(own.chain, own.key)
    return context
