"""Freja eID against a local server that speaks its published form, with certificates of its own, and results forged five ways."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.jwk import RSAKey

from ivr.call.ports.eid import Done, Ended, Order, Pending
from ivr.eid.freja import Freja
from ivr.errors import ConfigError, EidError
from ivr.secret import Secret
from tests.contract.ari_log import Log
from tests.contract.eid_kit import ANOTHER, WHO, Ends, asked, no_canary, self_signed, shown
from tests.contract.freja_server import FrejaServer
from tests.contract.texts_kit import settings_in
from tests.contract.texts_server import Never, Status, TextsServer


@dataclass
class World:
    """What does not change: certificates, and Freja's key for results."""

    ends: Ends
    key: RSAKey
    other: RSAKey
    pinned: Path
    chain: list[str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("eid")
    keys = [rsa.generate_private_key(65537, 2048) for _ in range(2)]
    made = [self_signed(key) for key in keys]
    pinned = folder / "signing.pem"
    pinned.write_bytes(made[0].public_bytes(Encoding.PEM))
    chain = [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in made]
    first, second = (RSAKey.import_key(key) for key in keys)
    return World(Ends(folder), first, second, pinned, chain)


@dataclass
class There:
    """Freja, and us who ask it."""

    api: FrejaServer
    server: TextsServer
    world: World
    log: Log
    opened: list[Freja]

    def us(self, **own: object) -> Freja:
        fields = {"signing_certificate_file": str(self.world.pinned), **own}
        made = Freja.of(self.world.ends.settings("eid.freja", self.server.url, **fields), self.log.logger)
        assert made is not None
        self.opened.append(made)
        return made

    async def begun(self, **other: object) -> tuple[Freja, Order]:
        us = self.us()
        order = await us.begin(asked(**other))
        assert isinstance(order, Order)
        return us, order

    def approve(self, user: str = WHO) -> None:
        self.api.last.status, self.api.last.user = "APPROVED", user

    async def refused(self, us: Freja, order: Order, words: str) -> None:
        with pytest.raises(EidError, match=words) as caught:
            await us.look(order)
        no_canary(shown(caught.value, self.log))


@pytest.fixture
async def there(world: World) -> AsyncIterator[There]:
    api = FrejaServer(world.key)
    async with TextsServer(api, world.ends.tls()) as server:
        found = There(api, server, world, Log(), [])
        yield found
        for one in found.opened:
            await one.close()


# ---------------------------------------------------------------- what is asked, and what becomes of it


async def test_somebody_is_asked_for_by_person_number_and_level(there: There) -> None:
    us = there.us(level="PLUS")
    assert isinstance(await us.begin(asked()), Order)
    body = there.api.last.body
    assert (body["userInfoType"], body["minRegistrationLevel"], there.api.last.person) == ("SSN", "PLUS", WHO)
    assert WHO not in there.server.asked[-1].path


async def test_a_page_has_a_link(there: There) -> None:
    _, order = await there.begun(start="qr")
    assert there.api.last.body["userInfoType"] == "INFERRED"
    link = Secret("frejaeid://bindUserToTransaction?transactionReference=canary%2F1%3D%3D")
    assert order.link == link
    assert order.qr is not None
    assert order.qr(3.0) == link
    no_canary(shown(None, there.log, order))


async def test_the_person_identifies(there: There) -> None:
    us, order = await there.begun()
    assert await us.look(order) == Pending("sent")
    there.api.last.status = "DELIVERED_TO_MOBILE"
    assert await us.look(order) == Pending("opened")
    there.api.last.status = "SOMETHING_OF_2031"
    assert await us.look(order) == Pending("other")
    there.approve()
    done = await us.look(order)
    assert isinstance(done, Done)
    assert (done.who, done.level) == (Secret(WHO), 3)
    assert json.loads(done.evidence.reveal())["details"].count(".") == 2
    no_canary(shown(None, there.log, done, order))


@pytest.mark.parametrize(
    ("status", "why"),
    [("CANCELED", "cancelled"), ("RP_CANCELED", "expired"), ("EXPIRED", "expired"), ("REJECTED", "in_progress")],
)
async def test_every_end(there: There, status: str, why: str) -> None:
    us, order = await there.begun()
    there.api.last.status = status
    assert await us.look(order) == Ended(why)  # type: ignore[arg-type]


async def test_nothing_of_it_in_anybodys_log(there: There, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    us, order = await there.begun()
    there.approve()
    assert isinstance(await us.look(order), Done)
    await us.cancel(order)
    logging.getLogger("asyncio").debug("something")
    assert "something" in caplog.text
    no_canary(shown(None, there.log) + caplog.text)


async def test_two_of_one_person_end_both(there: There) -> None:
    us, order = await there.begun()
    assert await us.begin(asked()) == Ended("in_progress")
    assert await us.look(order) == Ended("in_progress")


@pytest.mark.parametrize("code", [1002, 1005, 1012])
async def test_a_person_who_cannot(there: There, code: int) -> None:
    there.server.next(Status(422, {"code": code, "message": f"canary {WHO}"}))
    assert await there.us().begin(asked()) == Ended("not_able")


async def test_cancelling_lets_the_app_go_and_may_come_late(there: There) -> None:
    us, order = await there.begun()
    await us.cancel(order)
    assert there.api.last.status == "RP_CANCELED"
    await us.cancel(order)
    there.server.next(Status(500, "canary"))
    with pytest.raises(EidError):
        await us.cancel(order)


async def test_an_order_that_it_does_not_know(there: There) -> None:
    us, order = await there.begun()
    there.api.orders.clear()
    assert await us.look(order) == Ended("expired")


@pytest.mark.parametrize("header", ["x5c", "jwk"])
async def test_a_result_that_names_its_signer_at_length(there: There, header: str) -> None:
    us, order = await there.begun()
    named = there.world.chain[:1] * 3 if header == "x5c" else there.world.key.as_dict(private=False)
    there.api.header[header] = named
    there.approve()
    assert isinstance(await us.look(order), Done)


async def test_a_second_certificate_is_as_good(there: There) -> None:
    both = there.world.ends.folder / "both.pem"
    pem = x509.load_der_x509_certificate(base64.b64decode(there.world.chain[1])).public_bytes(Encoding.PEM)
    both.write_bytes(pem + there.world.pinned.read_bytes())
    us = there.us(signing_certificate_file=str(both))
    order = await us.begin(asked())
    assert isinstance(order, Order)
    there.approve()
    assert isinstance(await us.look(order), Done)


# ---------------------------------------------------------------- attacks


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _by_another_key(there: There, said: dict[str, object]) -> str:
    return there.api.sign(said, there.world.other)


def _unsigned(there: There, said: dict[str, object]) -> str:
    return f"{_b64(json.dumps({'alg': 'none'}).encode())}.{_b64(json.dumps(said).encode())}."


def _by_the_public_key(there: There, said: dict[str, object]) -> str:
    text = f"{_b64(json.dumps({'alg': 'HS256'}).encode())}.{_b64(json.dumps(said).encode())}"
    mac = hmac.new(there.world.key.as_pem(private=False), text.encode(), hashlib.sha256).digest()
    return f"{text}.{_b64(mac)}"


def _changed(there: There, said: dict[str, object]) -> str:
    head, _, signature = there.api.sign({**said, "authRef": "another"}).split(".")
    return f"{head}.{_b64(json.dumps(said).encode())}.{signature}"


def _with_its_own_key(there: There, said: dict[str, object]) -> str:
    there.api.header |= {"jwk": there.world.other.as_dict(private=False), "x5c": there.world.chain[1:]}
    return there.api.sign(said, there.world.other)


def _rubbish(there: There, said: dict[str, object]) -> str:
    return "canary"


def _deep(there: There, said: dict[str, object]) -> str:
    return f"{_b64(b'[' * 5000)}.e30.e30"


@pytest.mark.parametrize(
    "forge", [_by_another_key, _unsigned, _by_the_public_key, _changed, _with_its_own_key, _rubbish, _deep]
)
async def test_a_forged_result(there: There, forge: Callable[[There, dict[str, object]], str]) -> None:
    us, order = await there.begun()
    there.approve()
    signed = there.api.last.signed()
    answer = {"authRef": there.api.last.ref, "status": "APPROVED", "details": forge(there, signed)}
    there.server.next(Status(200, {**answer, "requestedAttributes": signed["requestedAttributes"]}))
    await there.refused(us, order, "is not signed by the certificate")


async def test_a_result_of_another_order_and_a_swapped_reference(there: There) -> None:
    us, order = await there.begun()
    first = there.api.last
    second = await us.begin(asked(who=Secret(ANOTHER)))
    assert isinstance(second, Order)
    there.approve(WHO)
    # the second order's good result, with the first one's reference written outside
    swapped = {"authRef": first.ref, "status": "APPROVED", "details": there.api.sign(there.api.last.signed())}
    there.server.next(Status(200, swapped))
    await there.refused(us, order, "is of another order")


@pytest.mark.parametrize("status", ["REJECTED", "STARTED", "EXPIRED"])
async def test_a_signed_result_that_says_no_inside(there: There, status: str) -> None:
    us, order = await there.begun()
    there.approve()
    there.api.last.more = {"status": status}
    await there.refused(us, order, "or not of one that was approved")


async def test_without_a_signature_approved_is_nothing(there: There) -> None:
    us, order = await there.begun()
    there.approve()
    unsigned = {name: value for name, value in there.api.last.signed().items() if name != "details"}
    there.server.next(Status(200, unsigned))
    await there.refused(us, order, "not that of Freja")


@pytest.mark.parametrize("seconds", [-3600, 3600])
async def test_a_result_of_another_time(there: There, seconds: int) -> None:
    us, order = await there.begun()
    there.approve()
    there.api.last.more = {"timestamp": int((time.time() + seconds) * 1000)}
    await there.refused(us, order, "of another time")


async def test_another_person_than_the_record_has(there: There) -> None:
    us, order = await there.begun()
    there.approve(ANOTHER)
    assert await us.look(order) == Ended("wrong_person")


async def test_the_person_is_the_signed_one(there: There) -> None:
    us, order = await there.begun()
    there.approve(ANOTHER)
    beside = {"ssn": {"country": "SE", "ssn": WHO}, "registrationLevel": "PLUS"}
    details = there.api.sign(there.api.last.signed())
    there.server.next(Status(200, {"status": "APPROVED", "details": details, "requestedAttributes": beside}))
    assert await us.look(order) == Ended("wrong_person")


@pytest.mark.parametrize(("asked_for", "has", "good"), [
    ("EXTENDED", "BASIC", False), ("EXTENDED", "EXTENDED", True), ("EXTENDED", "PLUS", True), ("PLUS", "EXTENDED", False),
    ("PLUS", "UNHEARD_OF", False),
])  # fmt: skip
async def test_the_level_is_looked_at(there: There, asked_for: str, has: str, good: bool) -> None:
    us = there.us(level=asked_for)
    order = await us.begin(asked())
    assert isinstance(order, Order)
    there.approve()
    there.api.last.level = has
    found = await us.look(order)
    assert isinstance(found, Done) if good else found == Ended("not_able")


@pytest.mark.parametrize("attributes", [
    {}, None, {"registrationLevel": "PLUS"}, {"ssn": {"ssn": WHO, "country": "NO"}, "registrationLevel": "PLUS"},
    {"ssn": {"ssn": WHO, "country": "SE"}},
])  # fmt: skip
async def test_without_number_or_level_nobody_has_identified(there: There, attributes: object) -> None:
    us, order = await there.begun()
    there.approve()
    there.api.last.more = {"requestedAttributes": attributes}
    await there.refused(us, order, "has no person number, or no level")


@pytest.mark.parametrize("answer", [Status(403, WHO), Status(422, {"code": 1004, "message": WHO}), Status(200, [])])
async def test_other_answers_are_told_without_a_value(there: There, answer: Status) -> None:
    there.server.next(answer)
    with pytest.raises(EidError, match="^freja: it") as caught:
        await there.us().begin(asked())
    no_canary(shown(caught.value, there.log))


async def test_one_that_hangs(there: There) -> None:
    us = there.us(seconds=0.5)
    there.server.next(Never())
    with pytest.raises(EidError, match="freja: it has not answered in time"):
        await us.begin(asked())


async def test_on_the_phone_somebody_must_be_asked_for(there: There) -> None:
    with pytest.raises(EidError):
        await there.us().begin(asked(who=None))
    assert not there.server.asked


# ---------------------------------------------------------------- files


def test_without_a_table_there_is_none(tmp_path: Path) -> None:
    assert Freja.of(settings_in(tmp_path), Log().logger) is None


@pytest.mark.parametrize("which", ["none.pem", "tillit.toml", "elliptic"])
def test_a_signing_certificate_that_cannot_be_used(world: World, which: str) -> None:
    # trustme's keys are elliptic
    file = str(world.ends.theirs.file) if which == "elliptic" else which
    settings = world.ends.settings("eid.freja", "https://127.0.0.1", signing_certificate_file=file)
    with pytest.raises(ConfigError, match=r"\[eid.freja\] signing_certificate_file: "):
        Freja.of(settings, Log().logger)
