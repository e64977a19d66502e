"""BankID against a local server that speaks its published form, with certificates of its own at both ends."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rig.bankid import BankIdServer

from ivr.call.ports.eid import Done, Ended, Order, Pending
from ivr.eid.bankid import BankId
from ivr.errors import ConfigError, EidError
from ivr.secret import Secret
from tests.contract.ari_log import Log
from tests.contract.eid_kit import ANOTHER, WHO, Ends, asked, no_canary, shown
from tests.contract.texts_kit import settings_in
from tests.contract.texts_server import Never, Raw, Status, TextsServer


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Ends:
    return Ends(tmp_path_factory.mktemp("eid"))


@dataclass
class There:
    """BankID, and us who ask it."""

    api: BankIdServer
    server: TextsServer
    ends: Ends
    log: Log
    opened: list[BankId]

    def us(self, **own: object) -> BankId:
        made = BankId.of(self.ends.settings("eid.bankid", f"{self.server.url}/rp/v6.0", **own), self.log.logger)
        assert made is not None
        self.opened.append(made)
        return made

    async def begun(self, **other: object) -> tuple[BankId, Order]:
        us = self.us()
        order = await us.begin(asked(**other))
        assert isinstance(order, Order)
        return us, order


@pytest.fixture
async def there(ends: Ends) -> AsyncIterator[There]:
    api = BankIdServer()
    async with TextsServer(api, ends.tls()) as server:
        found = There(api, server, ends, Log(), [])
        yield found
        for one in found.opened:
            await one.close()


# ---------------------------------------------------------------- what is asked


@pytest.mark.parametrize(("caller_began", "initiator"), [(True, "user"), (False, "RP")])
async def test_on_the_phone_it_says_who_called_whom(there: There, caller_began: bool, initiator: str) -> None:
    _, order = await there.begun(caller_began=caller_began)
    body = there.api.last.body
    assert there.server.asked[-1].path == "/rp/v6.0/phone/auth"
    assert (body["callInitiator"], body["personalNumber"]) == (initiator, WHO)
    assert there.api.last.visible == "You called Acme. Anna A. asks who you are."
    assert order.link is None
    assert order.qr is None


async def test_names_cannot_format_what_is_shown(there: There) -> None:
    await there.begun(shown="# *Acme*\n| Anna |\x07\tA.")
    assert there.api.last.visible == "# *Acme*\n| Anna |  A."
    assert there.api.last.body["userVisibleDataFormat"] == "plaintext"


@pytest.mark.parametrize("letter", ["a", "å", "日", "🙂"])
async def test_what_is_shown_is_cut_where_it_is_too_long(there: There, letter: str) -> None:
    await there.begun(shown=letter * 1400)
    text = there.api.last.visible
    assert text == letter * (len(text) - 1) + "…"
    # not more than was necessary
    assert len(base64.b64encode((letter + text).encode())) >= 1496


async def test_the_settings_may_demand_more(there: There) -> None:
    us = there.us(pin_code=True, identity_document=True, highest_risk="low")
    assert isinstance(await us.begin(asked()), Order)
    assert there.api.last.body["requirement"] == {"pinCode": True, "mrtd": True, "risk": "low"}


@pytest.mark.parametrize(("own", "asks"), [({}, False), ({"highest_risk": "low"}, True)])
async def test_a_page_asks_for_the_risk_that_is_looked_at(there: There, own: dict[str, str], asks: bool) -> None:
    """What it is not asked for it does not tell, and then none is too high."""
    assert isinstance(await there.us(**own).begin(asked(start="qr", address="192.0.2.9")), Order)
    assert there.api.last.body["returnRisk"] is asks


async def test_a_page_has_a_link_and_a_code_that_changes_every_second(there: There) -> None:
    _, order = await there.begun(start="qr", address="192.0.2.9")
    assert there.server.asked[-1].path == "/rp/v6.0/auth"
    assert there.api.last.body["requirement"] == {"personalNumber": WHO}
    assert there.api.last.body["endUserIp"] == "192.0.2.9"
    assert order.link == Secret("https://app.bankid.com/?autostarttoken=auto%20canary%2F1&redirect=null")
    assert order.qr is not None
    # the example of BankID's own guidelines
    first = "dc69358e712458a66a7525beef148ae8526b1c71610eff2c16cdffb4cdac9bf8"
    assert order.qr(0.9) == Secret(f"bankid.67df3917-fa0d-44e5-b327-edcc928297f8.0.{first}")
    code = hmac.new(b"d28db9a7-4cde-429e-a983-359be676944c", b"61", hashlib.sha256).hexdigest()
    assert order.qr(61.2) == Secret(f"bankid.67df3917-fa0d-44e5-b327-edcc928297f8.61.{code}")
    no_canary(shown(None, there.log, order, order.qr))


async def test_whoever_scans_where_nobody_is_named(there: There) -> None:
    back = Secret("https://id.example.com/person/back/canary")
    us, order = await there.begun(start="same_device", address="192.0.2.9", who=None, back=back)
    assert there.api.last.body["requirement"] == {}
    assert there.api.last.body["returnUrl"] == back.reveal()
    assert order.link == Secret("https://app.bankid.com/?autostarttoken=auto%20canary%2F1&redirect=null")
    there.api.last.status, there.api.last.user = "complete", ANOTHER
    done = await us.look(order)
    assert isinstance(done, Done)
    assert done.who == Secret(ANOTHER)


@pytest.mark.parametrize("other", [{"who": None}, {"start": "qr"}])
async def test_what_cannot_be_asked_is_not(there: There, other: dict[str, object]) -> None:
    with pytest.raises(EidError):
        await there.us().begin(asked(**other))
    assert not there.server.asked


# ---------------------------------------------------------------- what becomes of it


async def test_the_person_identifies(there: There) -> None:
    us, order = await there.begun()
    assert await us.look(order) == Pending("sent")
    there.api.last.status, there.api.last.user = "complete", WHO
    done = await us.look(order)
    assert isinstance(done, Done)
    assert (done.who, done.level) == (Secret(WHO), 3)
    assert done.name is not None
    kept = json.loads(done.evidence.reveal())
    assert base64.b64decode(kept["signature"]) == b"<Signature>canary</Signature>"
    assert base64.b64decode(kept["ocspResponse"]) == b"canary ocsp"
    no_canary(shown(None, there.log, done, order))


@pytest.mark.parametrize(("hint", "ours"), [
    ("outstandingTransaction", "sent"), ("noClient", "no_app"), ("started", "opened"), ("userCallConfirm", "confirm_call"),
    ("userMrtd", "document"), ("userSign", "sign"), ("processing", "working"), ("somethingOf2031", "other"), (None, "other"),
])  # fmt: skip
async def test_every_hint_of_a_pending_order(there: There, hint: str | None, ours: str) -> None:
    us, order = await there.begun()
    there.api.last.hint = hint
    found = await us.look(order)
    assert isinstance(found, Pending)
    assert found.hint == ours


@pytest.mark.parametrize(("hint", "why"), [
    ("userDeclinedCall", "declined_call"), ("userCancel", "cancelled"), ("cancelled", "in_progress"),
    ("expiredTransaction", "expired"), ("startFailed", "expired"), ("certificateErr", "not_able"),
    ("notSupportedByUserApp", "not_able"), ("transactionRiskBlocked", "risk"), ("somethingOf2031", "failed"), (None, "failed"),
])  # fmt: skip
async def test_every_hint_of_a_failed_order(there: There, hint: str | None, why: str) -> None:
    us, order = await there.begun()
    there.api.last.status, there.api.last.hint = "failed", hint
    assert await us.look(order) == Ended(why)  # type: ignore[arg-type]


async def test_nothing_of_it_in_anybodys_log(there: There, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    us, order = await there.begun()
    there.api.last.status, there.api.last.user = "complete", WHO
    assert isinstance(await us.look(order), Done)
    await us.cancel(order)
    logging.getLogger("asyncio").debug("something")
    assert "something" in caplog.text
    no_canary(shown(None, there.log) + caplog.text)


async def test_two_of_one_person_end_both(there: There) -> None:
    us, order = await there.begun()
    assert await us.begin(asked()) == Ended("in_progress")
    assert await us.look(order) == Ended("in_progress")


async def test_cancelling_lets_the_app_go_and_may_come_late(there: There) -> None:
    us, order = await there.begun()
    await us.cancel(order)
    assert there.server.asked[-1].path == "/rp/v6.0/cancel"
    await us.cancel(order)
    assert isinstance(await us.begin(asked()), Order)


# ---------------------------------------------------------------- attacks


async def test_another_person_than_the_record_has(there: There) -> None:
    us, order = await there.begun()
    there.api.last.status, there.api.last.user = "complete", ANOTHER
    assert await us.look(order) == Ended("wrong_person")


async def test_a_result_is_given_once(there: There) -> None:
    us, order = await there.begun()
    there.api.last.status, there.api.last.user = "complete", WHO
    assert isinstance(await us.look(order), Done)
    assert await us.look(order) == Ended("expired")


async def test_a_result_of_another_order(there: There) -> None:
    us, order = await there.begun()
    good = {**there.api.last.says(), "orderRef": "order-canary-77"}
    there.api.last.status, there.api.last.user = "complete", WHO
    for said in ({**there.api.last.says(), "orderRef": "order-canary-77"}, good, {"status": "complete"}, []):
        there.server.next(Status(200, said))
        with pytest.raises(EidError) as caught:
            await us.look(order)
        no_canary(shown(caught.value, there.log))


@pytest.mark.parametrize("data", [
    {"signature": ""}, {"ocspResponse": None}, {"user": {}}, {"user": {"personalNumber": ""}}, {"user": {"personalNumber": 198001012392}},
])  # fmt: skip
async def test_a_result_without_evidence_or_person_is_none(there: There, data: dict[str, object]) -> None:
    us, order = await there.begun()
    placed = there.api.last
    placed.status, placed.user, placed.data = "complete", WHO, data
    with pytest.raises(EidError, match="its answer is not that of BankID") as caught:
        await us.look(order)
    no_canary(shown(caught.value, there.log))


@pytest.mark.parametrize(("highest", "seen", "good"), [
    ("low", "low", True), ("low", "moderate", False), ("moderate", "moderate", True), ("moderate", "high", False),
    ("moderate", "unheard of", False), ("moderate", None, True), (None, "high", True),
])  # fmt: skip
async def test_the_risk_that_bankid_sees(there: There, highest: str | None, seen: str | None, good: bool) -> None:
    us = there.us(**({} if highest is None else {"highest_risk": highest}))
    order = await us.begin(asked())
    assert isinstance(order, Order)
    placed = there.api.last
    placed.status, placed.user, placed.risk = "complete", WHO, seen
    found = await us.look(order)
    assert isinstance(found, Done) if good else found == Ended("risk")


async def test_what_it_refuses_is_told_without_a_value(there: There) -> None:
    us = there.us()
    with pytest.raises(EidError, match="invalidParameters") as caught:
        await us.begin(asked(who=Secret("19800101-2392")))
    no_canary(shown(caught.value, there.log), "19800101-2392")


@pytest.mark.parametrize(("status", "words"), [
    (401, "does not know our certificate"), (403, "does not know our certificate"), (500, r"refused \(500\)"), (418, r"refused \(418\)"),
    (200, "not that of BankID"), (302, "redirects are not followed"),
])  # fmt: skip
async def test_other_answers(there: There, status: int, words: str) -> None:
    there.server.next(Status(status, {"details": f"{WHO} canary"}))
    with pytest.raises(EidError, match=words) as caught:
        await there.us().begin(asked())
    no_canary(shown(caught.value, there.log))


async def test_maintenance_is_waited_for_a_moment(there: There) -> None:
    there.server.next(Status(503, {"errorCode": "Maintenance", "details": ""}))
    assert isinstance(await there.us().begin(asked()), Order)


@pytest.mark.parametrize("rule", [Never(), Raw(b""), Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{")])
async def test_one_that_hangs_or_breaks_off(there: There, rule: Never | Raw) -> None:
    us = there.us(seconds=0.5)
    there.server.next(rule)
    with pytest.raises(EidError, match="^bankid: (it|the connection) ") as caught:
        await us.begin(asked())
    no_canary(shown(caught.value, there.log))


async def test_a_server_of_another_ca_is_told_nothing(there: There) -> None:
    us = there.us(ca_file=str(there.ends.strangers.file))
    with pytest.raises(EidError, match="its certificate is not good"):
        await us.begin(asked())
    assert not there.server.asked


async def test_a_certificate_that_it_does_not_know(there: There) -> None:
    stranger = there.ends.stranger
    us = there.us(certificate_file=str(stranger.chain), key_file=str(stranger.key))
    with pytest.raises(EidError, match="does it know our certificate"):
        await us.begin(asked())
    assert not there.server.asked


async def test_reaching_it_asks_for_nobody(there: There) -> None:
    us = there.us()
    await us.reach()
    assert [(one.method, one.path) for one in there.server.asked] == [("HEAD", "/")]
    await there.server.stop()
    with pytest.raises(EidError, match="^bankid: it cannot be connected to"):
        await us.reach()


# ---------------------------------------------------------------- files


def test_without_a_table_there_is_none(tmp_path: Path) -> None:
    assert BankId.of(settings_in(tmp_path), Log().logger) is None


@pytest.mark.parametrize(("fields", "place"), [
    ({"certificate_file": "none.pem"}, "certificate_file"),
    ({"certificate_file": "tillit.toml"}, "certificate_file"),
    ({"key_file": "none.key"}, "key_file"),
    ({"ca_file": "none.pem"}, "ca_file"),
])  # fmt: skip
def test_files_that_cannot_be_used(ends: Ends, fields: dict[str, object], place: str) -> None:
    with pytest.raises(ConfigError, match=rf"\[eid.bankid\] {place}: "):
        BankId.of(ends.settings("eid.bankid", "https://127.0.0.1/rp/v6.0", **fields), Log().logger)


def test_a_key_of_another_certificate_and_one_that_others_can_read(ends: Ends, tmp_path: Path) -> None:
    for key in (ends.stranger.key, tmp_path / "open.key"):
        if not key.exists():
            key.write_bytes(ends.client.key.read_bytes())
            key.chmod(0o644)
        with pytest.raises(ConfigError, match=r"\[eid.bankid\] key_file: "):
            BankId.of(ends.settings("eid.bankid", "https://127.0.0.1/x", key_file=str(key)), Log().logger)


def test_a_key_with_a_password_is_not_asked_for_at_the_terminal(ends: Ends, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as s

    key = s.load_pem_private_key(ends.client.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"canary")))
    locked.chmod(0o600)
    with pytest.raises(ConfigError, match="has a password"):
        BankId.of(ends.settings("eid.bankid", "https://127.0.0.1/x", key_file=str(locked)), Log().logger)


def test_the_servers_side_wants_a_certificate(ends: Ends) -> None:
    assert ends.tls().verify_mode is ssl.CERT_REQUIRED
