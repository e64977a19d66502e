"""The company proves who it is in apps of other companies: real Redis, database, and partners' servers that check what they are told."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import ClientSession, web
from standardwebhooks import Webhook, WebhookVerificationError

from ivr.call.proof import Proof, Stage, Way
from ivr.config import load
from ivr.errors import ConfigError
from ivr.lock import Reason
from ivr.lock.enrolling import BY_TEXT
from ivr.proving import beside
from ivr.secret import Secret
from ivr.sms import Reporting
from ivr.sms.incoming import Incoming
from ivr.sms.reports import readers
from ivr.store import eids, partners
from ivr.store.opened import Confirmed
from ivr.store.posted import Posted
from tests.contract.ari_log import Log
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, denied
from tests.contract.prove_kit import CALL, Proved, proving_in, until
from tests.unit.database_kit import settings_in

pytestmark = pytest.mark.servers

ID = "canary-7"
"""What the bank calls the customer."""


def new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


@dataclass
class Partner:
    """A partner's server, as docs/push.md has it: takes what is signed with its secret, is young, and has not come before."""

    secrets: list[str]
    users: set[str] = field(default_factory=lambda: {ID})
    url: str = ""
    status: int = 204
    told: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)
    refused: int = 0
    seen: set[str] = field(default_factory=set)
    hang: asyncio.Event | None = None

    async def take(self, request: web.Request) -> web.Response:
        body, headers = await request.read(), dict(request.headers)
        self.asked.append((body, headers))
        if self.hang is not None:
            await self.hang.wait()
        try:
            said = Webhook(self.secrets[0]).verify(body, headers)
        except WebhookVerificationError:
            self.refused += 1
            return web.Response(status=401)
        if headers["webhook-id"] in self.seen:
            self.refused += 1
            return web.Response(status=409)
        self.seen.add(headers["webhook-id"])
        if said["data"]["user"] not in self.users:
            return web.Response(status=404)
        if self.status < 300:
            self.told.append(said)
        return web.Response(status=self.status)


@asynccontextmanager
async def served(*secrets: str) -> AsyncIterator[Partner]:
    made = Partner(list(secrets))
    app = web.Application()
    app.router.add_post("/tillit", made.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/tillit"
    try:
        yield made
    finally:
        await runner.cleanup()


@dataclass
class House:
    """A desk that knows a bank and an insurer, and a customer who is on the line from a number that is on no record."""

    here: Proved
    bank: Partner
    insurer: Partner
    ref: str

    async def known(self, at: str, id: str = ID) -> None:
        """What the customer is called there."""
        desk = self.here.desk
        async with desk.database.write() as connection:
            await partners.keep(connection, desk.vault, self.ref, at, Secret(id), time.time())

    async def press(self, **how: Any) -> object:
        return await self.here.press(way=Way.PARTNER, **{"customer": "10001"} | how)


def lines_of(folder: Path, **apps: Partner) -> str:
    """Their tables; the files have all secrets of each."""
    for name, one in apps.items():
        file = folder / f"{name}.app"
        file.touch(0o600)
        file.write_text("\n".join(one.secrets))
    return "".join(
        f'[apps.{name}]\nurl = "{one.url}"\nsecret_file = "{name}.app"\nseconds = 1\n' for name, one in apps.items()
    )


@pytest.fixture
async def house(tmp_path: Path, server: Server) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        bank, insurer = [await stack.enter_async_context(served(new_secret())) for _ in range(2)]
        text = '[prove]\nways = ["partner", "text"]\npartners = ["bank", "insurer"]\n'
        text += lines_of(tmp_path, bank=bank, insurer=insurer)
        here = await stack.enter_async_context(proving_in(tmp_path, server, text))
        ref = await here.desk.customer("10001", "Xenia Ask", "+46709998877")
        here.desk.joined(ANNA, CALL)
        yield House(here, bank, insurer, ref)


async def test_from_the_press_to_the_digits(house: House) -> None:
    here = house.here
    await house.known("bank")
    proof = await house.press()
    assert isinstance(proof, Proof), proof
    await here.stage("sent")
    (said,) = house.bank.told
    place, _, link = said["data"].pop("link").rpartition("/")
    assert place == "https://id.example.com/p"
    # what it calls the person and nothing else: neither the customer number, nor who calls, nor why
    assert said["data"] == {"user": ID, "company": "Example", "expires": proof.until}
    seen = await here.page.look(Secret(link))
    assert seen is not None and seen.stage is Stage.SENT and seen.shown.push == "", "no browser becomes the customer's"
    await here.page.opened(Secret(link))
    await here.stage("opened")
    await until(lambda: asyncio.sleep(0, here.speech.said))
    assert await here.page.key(Secret(link), Secret(here.speech.said[0])) == Confirmed()
    await here.stage("confirmed")
    assert [(row[1], row[4]["way"]) for row in await here.rows()] == [("asked", "partner"), ("confirmed", "partner")]
    assert here.gateway.asked == [] and house.insurer.asked == [], "no text, and nobody else is told"
    assert "canary" not in str(here.desk.log.lines) and "canary" not in str(await here.rows())
    assert Way.PARTNER not in BY_TEXT


async def test_who_has_no_id_is_as_who_is_no_customer(house: House) -> None:
    """Neither the agent nor a partner learns which of them it is."""
    assert await house.press() == denied(Reason.NO_WAY)
    assert await house.press(customer="10009") == denied(Reason.NO_WAY)
    assert house.bank.asked == house.insurer.asked == []
    assert house.here.prove.offered().ways == (Way.PARTNER, Way.TEXT)


async def test_an_id_at_an_app_that_the_settings_do_not_name(house: House) -> None:
    await house.known("former")
    assert await house.press() == denied(Reason.NO_WAY)
    assert house.bank.asked == house.insurer.asked == []


async def test_an_identity_of_a_provider_is_no_id_at_a_partner(house: House) -> None:
    desk = house.here.desk
    async with desk.database.write() as connection:
        await eids.enter(connection, desk.vault, house.ref, "bank", Secret(ID), time.time())
    assert await house.press() == denied(Reason.NO_WAY)


@pytest.mark.parametrize(("status", "why"), [(404, "it knows no such user"), (410, "it knows no such user"), (500, "it did not take the message")])  # fmt: skip
async def test_a_partner_that_does_not_take_it(house: House, status: int, why: str) -> None:
    here = house.here
    await house.known("bank")
    house.bank.status = status
    assert isinstance(await house.press(), Proof)
    await here.stage("failed")
    row = (await here.rows())[-1]
    assert (row[1], row[4]["why"]) == ("failed", f"bank: {why} (status {status})")
    assert "canary" not in str(here.desk.log.lines)
    # and another way is open at once
    assert isinstance(await here.press(customer="10001"), Proof)


@pytest.mark.parametrize("fault", ["unknown", "broken", "silent"])
async def test_where_one_partner_does_not_take_it_the_next_is_told(house: House, fault: str) -> None:
    house.insurer.users = {"i-1"}
    await house.known("bank")
    await house.known("insurer", "i-1")
    if fault == "unknown":
        house.bank.users = set()
    elif fault == "broken":
        house.bank.status = 400
    else:
        house.bank.hang = asyncio.Event()
    assert isinstance(await house.press(), Proof)
    await house.here.stage("sent")
    if house.bank.hang is not None:
        house.bank.hang.set()
    assert [said["data"]["user"] for said in house.insurer.told] == ["i-1"]
    assert len(house.bank.asked) == 1 and house.bank.told == []


async def test_of_two_partners_one_is_told(house: House) -> None:
    await house.known("bank")
    await house.known("insurer")
    assert isinstance(await house.press(), Proof)
    await house.here.stage("sent")
    assert len(house.bank.told) == 1 and house.insurer.asked == []


async def test_an_id_that_is_taken_away_as_it_goes_out(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked up again: nothing goes by what was read before."""
    await house.known("bank")
    held = house.here.prove._rows.tell  # type: ignore[attr-defined]
    desk = house.here.desk

    async def tell(*args: Any, **how: Any) -> None:
        async with desk.database.write() as connection:
            await partners.remove(connection, house.ref, "bank")
        await held(*args, **how)

    monkeypatch.setattr(house.here.prove._rows, "tell", tell)  # type: ignore[attr-defined]
    assert isinstance(await house.press(), Proof)
    await house.here.stage("failed")
    assert (await house.here.rows())[-1][4]["why"] == "partner: no id is left"
    assert house.bank.asked == []


async def test_what_one_partner_was_told_is_worth_nothing_to_another(house: House) -> None:
    """Nor to the same one again: a partner that passes a message on, or somebody who reads along, shows nobody anything."""
    await house.known("bank")
    assert isinstance(await house.press(), Proof)
    await house.here.stage("sent")
    ((body, headers),) = house.bank.asked
    signed = {name: value for name, value in headers.items() if name.lower().startswith("webhook-")}
    house.insurer.users = {ID}
    async with ClientSession() as session:
        for partner, status in ((house.insurer, 401), (house.bank, 409)):
            async with session.post(partner.url, data=body, headers=signed) as answer:
                assert answer.status == status
        async with session.post(house.bank.url, data=body.replace(ID.encode(), b"another7"), headers=signed) as answer:
            assert answer.status == 401
        # signed by the bank, which knows its own secret and no other
        now = datetime.fromtimestamp(int(time.time()), UTC)
        made = Webhook(house.bank.secrets[0]).sign("msg_x", now, body.decode())
        forged = {
            "webhook-id": "msg_x", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": made
        }  # fmt: skip
        async with session.post(house.insurer.url, data=body, headers=forged) as answer:
            assert answer.status == 401
    assert house.insurer.told == [] and len(house.bank.told) == 1


@pytest.mark.parametrize("way", ["bank", "app", "partner"])
async def test_a_partner_reports_nothing(house: House, way: str) -> None:
    """What it posts to the public address is none of ours: neither delivered nor confirmed comes of it."""
    await house.known("bank")
    proof = await house.press()
    assert isinstance(proof, Proof)
    shown = await house.here.stage("sent")
    said = house.bank.told[0]["data"]
    posts: asyncio.Queue[Posted] = asyncio.Queue()
    for body in (f'{{"id": "{proof.id}", "status": "delivered"}}', f"id={said['link']}&status=delivered"):
        made = Webhook(house.bank.secrets[0]).sign("msg_x", datetime.now(UTC), body)
        posts.put_nowait(
            Posted(
                way, Secret("f" * 64), Secret(f"/in/{way}/x"), {"webhook-signature": made}, Secret(body), time.time()
            )
        )
    log = Log()
    settings = house.here.desk.settings
    reporting = Reporting(settings.page.url, Secret("f" * 64))
    incoming = Incoming(posts.get, readers(settings, reporting), house.here.deliveries, log.logger)
    running = asyncio.create_task(incoming.run())
    # the second of them is counted, and told later
    await until(lambda: asyncio.sleep(0, posts.empty() and bool(log.of("report.refused"))))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [(line["gateway"], line["why"]) for line in log.of("report.refused")] == [("", "address")]
    assert await house.here.shown() == shown


async def test_another_secret_takes_the_place_of_the_one(tmp_path: Path, server: Server) -> None:
    """Both sign meanwhile: a partner that has either takes it."""
    one, two = new_secret(), new_secret()
    async with served(two) as bank:
        # the file has both, the former first
        bank.secrets = [one, two]
        text = f'[prove]\nways = ["partner"]\npartners = ["bank"]\n{lines_of(tmp_path, bank=bank)}'
        async with proving_in(tmp_path, server, text) as here:
            ref = await here.desk.customer("10001", "Xenia Ask", "+46709998877")
            here.desk.joined(ANNA, CALL)
            house = House(here, bank, bank, ref)
            await house.known("bank")
            for secret in (one, two):
                bank.secrets = [secret]
                assert isinstance(await house.press(), Proof)
                await here.stage("sent")
                assert await here.prove.cancel(ANNA, here.desk.id(CALL)) is True
            assert len(bank.told) == 2 and bank.refused == 0


async def test_two_partners_with_one_secret_are_refused(tmp_path: Path) -> None:
    """Either could speak to the other in our name."""
    same = new_secret()
    pair = {"bank": Partner([new_secret(), same]), "insurer": Partner([same])}
    for one in pair.values():
        one.url = "https://app.example.com/x"
    text = f'[prove]\nways = ["partner"]\npartners = ["bank", "insurer"]\n{lines_of(tmp_path, **pair)}'
    with pytest.raises(ConfigError, match=r"\[apps.insurer\] secret_file: is that of \[apps.bank\]"):
        beside(settings_in(tmp_path, text), structlog.get_logger())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('ways = ["partner"]', 'partners belongs to "partner"'),
        ('partners = ["bank"]', 'partners belongs to "partner"'),
        ('ways = ["partner"]\npartners = ["bank"]', "[prove] partners names none of [apps]: bank"),
        ('ways = ["partner"]\npartners = ["bank", "bank"]', "partners names one twice"),
        ('ways = ["partner"]\napp = "bank"\npartners = ["bank"]', "partners names the company's own app"),
        (f'ways = ["partner"]\npartners = ["{"x" * 37}"]', "partners"),
    ],
)
def test_settings_that_lead_nowhere(tmp_path: Path, text: str, told: str) -> None:
    file = settings_in(tmp_path).file
    file.write_text(f"{file.read_text()}\n[prove]\n{text}\n")
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert told in str(caught.value)
