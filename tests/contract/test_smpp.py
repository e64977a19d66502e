"""Texts by SMPP 3.4, against a real message centre: receipts, ids, faults, outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import ivr.sms.smpp as smpp_module
import ivr.sms.smpp_bind as bind_module
from ivr.call.ports import Delivery, Handed, Report
from ivr.config import Settings
from ivr.errors import ConfigError, NumberRefused, StoreError, TextError
from ivr.secret import Personal, Secret
from ivr.sms import InTurn, Reporting, in_turn, one
from ivr.store.deliveries import RedisDeliveries
from ivr.store.link import Link
from ivr.texting import reporting_of
from ivr.vault import Vault
from tests.contract.ari_log import Log, wait_for
from tests.contract.live_server import Server
from tests.contract.smpp_kit import PASSWORD, Centre
from tests.contract.texts_kit import TO, no_canary, settings_in, shown

pytestmark = pytest.mark.servers

WORDS = Secret("Acme: 135790 is the code. Åäö €[]")


def settings_for(folder: Path, url: str, **fields: object) -> Settings:
    password = folder / "smpp.password"
    password.touch(0o600)
    password.write_text(PASSWORD)
    table: dict[str, object] = {
        "url": url, "system_id": "tillit", "password_file": "smpp.password", "sender": "Acme",
        "allow_private": ["127.0.0.1"],
    }  # fmt: skip
    return settings_in(folder, texts={"gateway": "smpp", "seconds": 5.0}, **{"texts.smpp": table | fields})


@dataclass
class World:
    """A centre, the gateway that speaks to it, and what is told of texts."""

    centre: Centre
    folder: Path
    log: Log = field(default_factory=Log)
    told: list[Report] = field(default_factory=list)
    fails: bool = False
    gateways: InTurn = field(init=False)

    async def tell(self, report: Report) -> None:
        if self.fails:
            raise StoreError("Redis did not answer in time")
        self.told.append(report)

    def open(self, *, reports: bool = True, **fields: object) -> None:
        reporting = Reporting(None, Secret("k"), self.tell) if reports else None
        settings = settings_for(self.folder, self.centre.url, **fields)
        self.gateways = in_turn(settings, self.log.logger, reporting=reporting)

    async def send(self, to: Personal = TO, text: Secret = WORDS) -> Handed:
        return await self.gateways.send(to, text)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        made = World(await stack.enter_async_context(Centre()), tmp_path)
        made.open()
        yield made
        await made.gateways.close()
        no_canary(str(made.log.lines))
        assert PASSWORD not in str(made.log.lines)


# ---------------------------------------------------------------- what is sent


async def test_a_text_and_its_receipt(world: World) -> None:
    handed = await world.send()
    assert handed.id is not None
    assert (handed.gateway, handed.parts) == ("smpp", 1)
    await wait_for(lambda: world.told == [Report("smpp", handed.id or "", Delivery.DELIVERED, "000")])
    assert await world.centre.until("answered") == {"event": "answered", "status": 0}
    assert world.centre.of("bound") == [{"event": "bound", "as": "bind_transceiver", "type": "", "version": 0x34}]
    (sent,) = world.centre.of("submit")
    assert sent == {
        "event": "submit", "coding": 0, "esm": 0, "registered": 1, "from": [5, 0, "Acme"],
        "to": [1, 1, "46701740601"], "text": WORDS.reveal(), "udh": "", "payload": False,
    }  # fmt: skip
    assert [line["delivery"] for line in world.log.of("report.came")] == ["delivered"]


async def test_a_number_as_sender_and_no_reports(world: World) -> None:
    await world.gateways.close()
    world.open(reports=False, sender="+46701740602", system_type="vas")
    assert await world.send() == Handed("smpp", None, 1)
    (sent,) = world.centre.of("submit")
    assert (sent["from"], sent["registered"]) == ([1, 1, "46701740602"], 0)
    assert world.centre.of("bound")[-1]["type"] == "vas"


@pytest.mark.parametrize(
    ("words", "coding", "count"),
    [("x" * 160, 0, 1), ("x" * 161, 0, 2), ("€" * 100, 0, 2), ("日本語 Łódź", 8, 1), ("ł" * 100, 8, 2)],
    ids=["one", "two", "escapes", "letters", "two of letters"],
)
async def test_long_texts_and_other_alphabets(world: World, words: str, coding: int, count: int) -> None:
    handed = await world.send(text=Secret(words))
    sent = world.centre.of("submit")
    assert handed.parts == len(sent) == count
    assert "".join(one["text"] for one in sent) == words
    assert {one["coding"] for one in sent} == {coding}
    assert not any(one["payload"] for one in sent)
    if count > 1:
        # without the octet of its length
        (reference,) = {one["udh"][:6] for one in sent}
        assert [one["udh"] for one in sent] == [f"{reference}{count:02x}{place:02x}" for place in (1, 2)]
        assert {one["esm"] for one in sent} == {0x40}
    # the last one's receipt is that of the text
    await wait_for(lambda: [report.id for report in world.told] == [handed.id])


@pytest.mark.parametrize("slow", [False, True], ids=["behind all answers", "before the last answer"])
async def test_a_part_that_is_lost_is_the_text_s_loss(world: World, slow: bool) -> None:
    await world.centre.tell(receipt="UNDELIV", slow=slow)
    handed = await world.send(text=Secret("x" * 161))
    await wait_for(lambda: len(world.told) == 2)
    assert {(report.id, report.delivery) for report in world.told} == {(handed.id, Delivery.UNDELIVERED)}


async def test_a_part_that_is_lost_before_its_own_answer_is_the_text_s_loss(world: World) -> None:
    await world.centre.tell(receipt="UNDELIV", early=True)
    handed = await world.send(text=Secret("x" * 161))
    await wait_for(lambda: [report.id for report in world.told].count(handed.id) == 2)
    assert {report.delivery for report in world.told} == {Delivery.UNDELIVERED}


async def test_a_part_that_is_lost_of_a_text_that_failed_is_told_to_nobody(world: World) -> None:
    await world.centre.tell(receipt="UNDELIV", status=[0, 0x0A])
    with pytest.raises(TextError, match="0x0a"):
        await world.send(text=Secret("x" * 161))
    assert (await world.centre.until("answered"))["status"] == 0
    assert world.told == []


# ---------------------------------------------------------------- receipts


@pytest.mark.parametrize("ids", ["same", "hex_then_decimal", "decimal_then_hex"])
@pytest.mark.parametrize("tlv", [False, True], ids=["words", "parameters"])
async def test_ids_in_each_form(world: World, ids: str, tlv: bool) -> None:
    await world.gateways.close()
    world.open(receipt_ids=ids)
    await world.centre.tell(ids=ids, tlv=tlv)
    handed = [await world.send() for _ in range(3)]
    await wait_for(lambda: len(world.told) == 3)
    assert [report.id for report in world.told] == [one.id for one in handed]
    assert len({one.id for one in handed}) == 3


@pytest.mark.parametrize(
    ("stat", "delivery"),
    [
        ("ENROUTE", Delivery.SENT),
        ("ACCEPTD", Delivery.SENT),
        ("DELIVRD", Delivery.DELIVERED),
        ("EXPIRED", Delivery.EXPIRED),
        ("DELETED", Delivery.UNDELIVERED),
        ("UNDELIV", Delivery.UNDELIVERED),
        ("REJECTD", Delivery.FAILED),
        ("UNKNOWN", Delivery.UNKNOWN),
    ],
)
async def test_states_are_mapped_to_one_set(world: World, stat: str, delivery: Delivery) -> None:
    for place, tlv in enumerate((False, True), 1):
        await world.centre.tell(receipt=stat, err="0A1", tlv=tlv)
        await world.send()
        await wait_for(lambda place=place: len(world.told) == place)
        assert (world.told[-1].delivery, world.told[-1].code) == (delivery, "" if tlv else "0A1")


async def test_a_receipt_that_is_faster_than_the_answer(world: World) -> None:
    await world.centre.tell(early=True)
    handed = await world.send()
    assert [report.id for report in world.told] == [handed.id]


async def test_a_receipt_is_taken_by_nobody_who_would_tell_it_to_nobody(world: World, tmp_path: Path) -> None:
    """As workers and desks have binds of one account: the centre gives a receipt to whichever takes them."""
    worker = one("smpp", settings_for(tmp_path, world.centre.url), world.log.logger)
    assert (await worker.send(TO, WORDS)).id is None
    await world.centre.tell(elsewhere=True)
    handed = await world.send()
    assert [bound["as"] for bound in world.centre.of("bound")] == ["bind_transmitter", "bind_transceiver"]
    await world.centre.until("answered")
    await wait_for(lambda: [report.id for report in world.told] == [handed.id])
    # a centre that gives one to it all the same has it back
    await world.centre.tell(act="answer")
    await world.centre.until("answered", 3)
    assert sorted(answer["status"] for answer in world.centre.of("answered")[1:]) == [0, 4]
    await worker.close()


async def test_a_receipt_that_cannot_be_kept_is_asked_for_again(world: World) -> None:
    world.fails = True
    await world.send()
    assert (await world.centre.until("answered"))["status"] == 0x64
    assert len(world.log.of("incoming.failed")) == 1
    assert world.told == []


async def test_what_people_answer_is_taken_and_told_to_nobody(world: World) -> None:
    await world.centre.tell(receipt="")
    await world.send()
    await world.centre.tell(act="answer")
    assert (await world.centre.until("answered"))["status"] == 0
    assert world.told == []


async def test_receipts_come_by_a_bind_that_was_made_again(world: World) -> None:
    await world.centre.tell(delay=300)
    handed = await world.send()
    await world.centre.tell(act="cut")
    await world.centre.until("bound", 2)
    assert world.log.of("smpp.lost")
    # the one of before was for a connection that is gone; the next text's comes by the new one
    again = await world.send()
    await wait_for(lambda: [report.id for report in world.told] == [again.id])
    assert again.id != handed.id


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (0x0B, NumberRefused, "no valid number .0x0b"),
        (0x0A, TextError, "it refused the text .0x0a"),
        (0x08, TextError, "it refused the text .0x08"),
        (0x45, TextError, "it refused the text .0x45"),
        # a vendor's own
        (0x0400, TextError, "it refused the text .0x400"),
    ],
)
async def test_a_refusal_is_about_the_number_or_about_all(
    world: World, status: int, kind: type[Exception], says: str
) -> None:
    await world.centre.tell(status=[status])
    with pytest.raises(kind, match=says) as caught:
        await world.send()
    no_canary(shown(caught.value, world.log))
    assert len(world.centre.of("submit")) == 1
    await world.send()
    assert len(world.centre.of("bound")) == 1


async def test_who_is_throttled_tries_again_and_not_for_ever(world: World) -> None:
    await world.centre.tell(status=[0x58, 0x14])
    await world.send()
    assert (len(world.centre.of("submit")), len(world.log.of("gateway.retried"))) == (3, 2)
    await world.centre.tell(status=[0x58] * 3)
    with pytest.raises(TextError, match="too many requests .0x58"):
        await world.send()
    assert len(world.centre.of("submit")) == 6


async def test_a_wrong_password_is_said_and_not_repeated_for_ever(world: World) -> None:
    await world.centre.tell(password="another")
    with pytest.raises(TextError, match="does not know system_id and password .0x0e"):
        await world.send()
    assert len(world.centre.of("refused")) == 1


async def test_a_centre_that_speaks_something_else(world: World) -> None:
    await world.centre.tell(nack=True)
    with pytest.raises(TextError, match="does not let us in .0x03"):
        await world.send()


async def test_a_centre_that_has_no_bind_left_for_us_has_not_let_us_in(world: World) -> None:
    await world.centre.tell(full=True)
    with pytest.raises(TextError, match="does not let us in .0x05"):
        await world.send()
    assert world.centre.of("submit") == []


async def test_a_centre_that_has_forgotten_the_bind_is_bound_to_again(world: World) -> None:
    await world.centre.tell(status=[0x04])
    with pytest.raises(TextError, match="it refused the text .0x04"):
        await world.send()
    await world.send()
    assert len(world.centre.of("bound")) == 2


@pytest.mark.parametrize("act", ["rubbish", "huge"])
async def test_what_is_no_smpp_ends_the_bind_and_the_next_text_makes_another(world: World, act: str) -> None:
    await world.send()
    await world.centre.tell(act=act)
    await world.centre.until("bound", 2)
    await world.send()


async def test_a_receipt_that_is_cut_off_is_none(world: World) -> None:
    await world.centre.tell(receipt="")
    await world.send()
    await world.centre.tell(act="short")
    await world.send()
    assert (len(world.centre.of("bound")), world.told) == (1, [])


async def test_a_command_that_is_not_known_is_answered_so(world: World) -> None:
    await world.send()
    await world.centre.tell(act="query")
    assert (await world.centre.until("nacked"))["status"] == 3


async def test_a_text_that_is_not_answered_is_given_up_and_never_sent_later(world: World, tmp_path: Path) -> None:
    await world.centre.tell(silent=True)
    gateway = one("smpp", settings_for(tmp_path, world.centre.url), world.log.logger)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await gateway.send(TO, WORDS)
    await world.centre.tell(silent=False)
    await gateway.send(TO, WORDS)
    assert len(world.centre.of("submit")) == 2
    await gateway.close()


async def test_no_more_than_the_window_is_unanswered(world: World) -> None:
    await world.gateways.close()
    world.open(window=3)
    await world.send()
    await world.centre.tell(silent=True)
    sending = [asyncio.create_task(world.send()) for _ in range(8)]
    await world.centre.until("submit", 4)
    await world.centre.tell(act="enquire")
    await world.centre.until("alive")
    assert len(world.centre.of("submit")) == 4
    # whoever waits for a turn, and gives up, has sent nothing
    for task in sending:
        task.cancel()
    await asyncio.gather(*sending, return_exceptions=True)
    await world.centre.tell(silent=False)
    await world.send()
    assert len(world.centre.of("submit")) == 5


async def test_many_at_once(world: World) -> None:
    handed = await asyncio.gather(*(world.send() for _ in range(100)))
    assert len({one.id for one in handed}) == 100
    assert len(world.centre.of("bound")) == 1
    await wait_for(lambda: len(world.told) == 100)
    assert {report.id for report in world.told} == {one.id for one in handed}


# ---------------------------------------------------------------- outages


async def test_a_connection_that_is_cut_instead_of_an_answer(world: World) -> None:
    await world.send()
    await world.centre.tell(drop=True)
    with pytest.raises(TextError, match="broke before its answer was whole"):
        await world.send()
    await world.centre.tell(drop=False)
    await world.send()


async def test_a_centre_that_is_away_fails_at_once_and_is_found_when_it_is_back(world: World) -> None:
    await world.send()
    await world.centre.stop()
    await wait_for(lambda: bool(world.log.of("smpp.lost")))
    began = asyncio.get_running_loop().time()
    with pytest.raises(TextError, match="cannot be connected to"):
        await world.send()
    assert asyncio.get_running_loop().time() - began < 1.0
    await wait_for(lambda: bool(world.log.of("smpp.away")))
    await world.centre.start()
    # by itself: receipts come by it
    await world.centre.until("bound", 2)
    await world.send()
    # nothing of what was not sent meanwhile
    assert len(world.centre.of("submit")) == 2


async def test_a_centre_that_says_goodbye(world: World) -> None:
    await world.send()
    await world.centre.tell(act="unbind")
    await world.centre.until("bound", 2)
    await world.send()


async def test_a_centre_that_is_deaf_is_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bind_module, "_SILENCE", 0.1)
    monkeypatch.setattr(bind_module, "_ANSWER", 0.2)
    await world.send()
    await world.centre.until("enquire_link", 2)
    assert world.log.of("smpp.lost") == []
    await world.centre.tell(deaf=True)
    await wait_for(lambda: bool(world.log.of("smpp.lost")))
    await wait_for(lambda: bool(world.log.of("smpp.away")))
    with pytest.raises(TextError, match="no answer in time"):
        await world.send()
    await world.centre.tell(deaf=False)
    await world.centre.until("bound", 2)
    await world.send()


async def test_a_centre_that_answers_no_text_is_left_though_it_is_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bind_module, "_SILENCE", 0.1)
    await world.send()
    await world.centre.until("enquire_link", 3)
    assert world.log.of("smpp.lost") == []
    await world.centre.tell(silent=True)
    with pytest.raises(TextError, match="broke before its answer was whole"):
        await world.send()
    await world.centre.tell(silent=False)
    await world.centre.until("bound", 2)
    await world.send()


async def test_a_centre_that_writes_and_does_not_read_is_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bind_module, "_SILENCE", 0.2)
    monkeypatch.setattr(bind_module, "_ANSWER", 0.5)
    monkeypatch.setattr(bind_module, "_LAST_WORDS", 0.2)
    await world.send()
    await world.centre.tell(act="flood")
    await world.centre.until("bound", 2)
    await world.send()


async def test_it_leaves_a_centre_that_does_not_read(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bind_module, "_LAST_WORDS", 0.2)
    gateway = one("smpp", settings_for(tmp_path, world.centre.url), world.log.logger)
    await gateway.send(TO, WORDS)
    await world.centre.tell(act="flood")
    async with asyncio.timeout(5):
        await gateway.close()


async def test_no_more_receipts_are_taken_than_can_be_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bind_module, "_UNANSWERED", 3)
    here, most, go = 0, 0, asyncio.Event()

    async def tell(report: Report) -> None:
        nonlocal here, most
        here += 1
        most = max(most, here)
        await go.wait()
        here -= 1
        await world.tell(report)

    await world.centre.tell(receipt="")
    settings = settings_for(world.folder, world.centre.url)
    gateway = one("smpp", settings, world.log.logger, Reporting(None, Secret("k"), tell))
    await gateway.send(TO, WORDS)
    await world.centre.tell(receipt="DELIVRD", act="many")
    await wait_for(lambda: most >= 3)
    await world.centre.tell()
    go.set()
    await wait_for(lambda: len(world.told) == 10)
    assert most == 3
    await gateway.close()


async def test_it_is_asked_whether_anybody_is_there_and_answers(world: World) -> None:
    await world.send()
    await world.centre.tell(act="enquire")
    await world.centre.until("alive")


async def test_it_leaves_as_it_should(world: World) -> None:
    await world.send()
    await world.gateways.close()
    await world.centre.until("unbind")
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "smpp"]


async def test_to_reach_it_is_to_be_let_in(world: World, tmp_path: Path) -> None:
    gateway = one("smpp", settings_for(tmp_path, world.centre.url), world.log.logger)
    await gateway.reach()
    await world.centre.until("unbind")
    await world.centre.tell(password="another")
    with pytest.raises(TextError, match="system_id and password"):
        await gateway.reach()
    await gateway.close()
    assert smpp_module.NAME == "smpp"


async def test_the_desk_is_told_by_the_bind_without_a_public_page(
    world: World, installed: Settings, server: Server, tmp_path: Path
) -> None:
    """As the desk's process has it: the text's report is found by whoever expects it."""
    vault, link = Vault.open(installed), Link.of(installed)
    async with RedisDeliveries(installed, link, world.log.logger) as deliveries:
        reporting = reporting_of(installed, vault, deliveries)
        assert reporting.address("46elks") is None
        gateway = one("smpp", settings_for(tmp_path, world.centre.url), world.log.logger, reporting)
        handed = await gateway.send(TO, WORDS)
        async with asyncio.timeout(10):
            assert [report.delivery async for report in deliveries.expect(handed)] == [Delivery.DELIVERED]
        await gateway.close()
    await link.close()
    vault.close()


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"url": "smpp://smsc.example.com:2775"}, "is smpp://: texts and passwords would go there in clear"),
        ({"url": "smpp://192.0.2.1:2775", "allow_private": ["10.0.0.5"]}, "in clear|private address"),
        ({"url": "smpps://10.0.0.5"}, "is a private address"),
        ({"url": ""}, "url"),
        ({"sender": ""}, "sender"),
        ({"system_id": "much-too-long-for-it"}, "system_id"),
        ({"ca_file": "missing.pem"}, "ca_file"),
    ],
)
def test_settings_that_cannot_be_used(tmp_path: Path, fields: dict[str, Any], says: str) -> None:
    given = {"url": "smpps://smsc.example.com:3550", **fields}
    with pytest.raises(ConfigError, match=says):
        one("smpp", settings_for(tmp_path, **given), Log().logger)


def test_a_password_is_no_longer_than_the_protocol_has_it(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, "smpps://smsc.example.com")
    (tmp_path / "smpp.password").write_text("nine-long")
    with pytest.raises(ConfigError, match="holds more than 8 letters") as caught:
        one("smpp", settings, Log().logger)
    assert "nine-long" not in str(caught.value)
