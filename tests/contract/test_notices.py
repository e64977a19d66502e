"""Whom a change at the desk is told to: the number that was there before, by text, from whichever worker looks first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from time import time

import orjson
import pytest
import trustme
from sqlalchemy import select, update

from ivr import sms
from ivr.call.outcome import Budget
from ivr.config import Limits
from ivr.errors import InputError, StoreError
from ivr.lock.words import Done
from ivr.mail.smtp import Mailer
from ivr.noticing import Noticing, noticing
from ivr.numbers import Range, range_of
from ivr.prompts import text
from ivr.secret import Personal, Secret
from ivr.store import mails, sealing
from ivr.store.budgets import Budgets
from ivr.store.customers import Customers
from ivr.store.notices import Notices
from ivr.store.tables import CUSTOMERS, NOTICES, PHONES
from tests.contract import texts_kit
from tests.contract.ari_log import Log, wait_for
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, PHONE, Desk, desk_of
from tests.contract.test_mail import Mailing, ca, mailing, serving
from tests.contract.texts_server import Status, TextsServer, elks
from tests.unit.database_kit import asked, settings_in

__all__ = ["ca", "mailing"]
pytestmark = [
    pytest.mark.servers,
    pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning"),
]

OTHER, THIRD = "+46709999999", "+46708888888"
DAY = 24 * 3600
WORDS = text("phone_changed", "sv", company="Acme")
SIM = text("sim_replaced", "sv", company="Acme")


@dataclass
class World:
    """A desk whose agent changes numbers, a worker that tells of it, and a gateway."""

    desk: Desk
    gateway: TextsServer
    made: Callable[[Mailer | None], Noticing]
    worker: Noticing
    another: Noticing
    third: Noticing
    log: Log
    now: list[float]
    ref: str

    async def act(self, action: str, **given: str) -> None:
        arguments = {name: Secret(text) for name, text in given.items()}
        assert isinstance(await self.desk.lock.act(ANNA, self.ref, action, arguments), Done)

    @property
    def told(self) -> list[tuple[str, str]]:
        """The numbers that texts went to, and what they say."""
        return [(one.form["to"], one.form["message"]) for one in self.gateway.asked]

    async def rows(self) -> list[tuple[str, dict[str, str]]]:
        query = "SELECT outcome, detail FROM audit WHERE action = 'customer.notice' ORDER BY seq"
        return [(row[0], orjson.loads(row[1])) for row in await asked(self.desk.database, query)]

    async def waiting(self) -> int:
        return len(await asked(self.desk.database, "SELECT id FROM customer_notices"))


@pytest.fixture
async def world(request: pytest.FixtureRequest, tmp_path: Path, server: Server) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(TextsServer(elks))
        desk = await stack.enter_async_context(desk_of(settings_in(tmp_path), server))
        folder = tmp_path / "worker"
        folder.mkdir()
        own = texts_kit.tables("46elks", gateway.url)
        settings = texts_kit.settings_in(folder, texts={"gateway": "46elks"}, **own)
        # behind every change that the test makes
        log, now = Log(), [time() + 60]
        gateways = sms.in_turn(settings, log.logger)
        stack.push_async_callback(gateways.close)
        texts = sms.texts(settings, log.logger, gateways)

        limits = Limits(notices_prefix_per_hour=getattr(request, "param", 20))

        def worker(mailer: Mailer | None = None) -> Noticing:
            turn = desk.live.turn("notices", seconds=60)
            notices = Notices(desk.database, desk.vault)
            budgets = desk.live.notice_budgets(limits)
            return Noticing(
                notices, texts, budgets, desk.trail, turn, "Acme", log.logger, mailer=mailer, wall=lambda: now[0]
            )

        yield World(desk, gateway, worker, worker(), worker(), worker(), log, now, await desk.call(level=3))


async def test_the_number_that_was_there_before_is_told(world: World) -> None:
    await world.act("add_phone", phone=OTHER)
    await world.worker.tell()
    assert world.told == [(PHONE, WORDS)], "of one that comes, the first that was there"
    await world.act("change_phone", phone=PHONE, to=THIRD)
    await world.worker.tell()
    await world.act("remove_phone", phone=OTHER)
    await world.worker.tell()
    assert [to for to, _ in world.told] == [PHONE, PHONE, OTHER], "and the one that goes"
    await world.act("remove_phone", phone=THIRD)
    await world.worker.tell()
    assert [to for to, _ in world.told][3:] == [THIRD]
    await world.act("add_phone", phone=PHONE)
    await world.worker.tell()
    assert len(world.told) == 4, "where there was none, nobody can be told"
    assert await world.waiting() == 0
    found = await world.rows()
    assert [outcome for outcome, _ in found] == ["asked"] * 4
    assert set(found[0][1]) == {"number", "tenant"}
    for number in (PHONE, OTHER, THIRD):
        assert number not in str(found) and number not in str(world.log.lines)
    assert [one["subject"] for one in world.log.of("notice.sent")] == [world.ref] * 4


async def test_what_is_not_done_is_told_to_nobody(world: World) -> None:
    with pytest.raises(InputError):
        await world.act("change_phone", phone=OTHER, to=THIRD)
    await world.act("set_language", language="en")
    await world.worker.tell()
    assert (world.told, await world.waiting()) == ([], 0)


async def test_it_is_told_once_whoever_looks(world: World) -> None:
    await world.act("add_phone", phone=OTHER)
    await asyncio.gather(world.worker.tell(), world.another.tell(), world.third.tell())
    await world.worker.tell()
    await world.another.tell()
    assert len(world.told) == 1


async def test_what_no_gateway_takes_is_tried_again_seldom_and_for_a_day(world: World) -> None:
    await world.act("add_phone", phone=OTHER)
    world.gateway.always(Status(503, {}))
    await world.worker.tell()
    tried = len(world.gateway.asked)
    assert tried and len(world.log.of("notice.late")) == 1
    world.now[0] += 10
    await world.worker.tell()
    assert len(world.gateway.asked) == tried, "not at each look"
    for _ in range(200):
        world.now[0] += 600
        await world.worker.tell()
    assert len(world.log.of("notice.given_up")) == 1
    assert 20 < len(world.log.of("notice.late")) < 40
    assert await world.waiting() == 0
    assert [outcome for outcome, _ in await world.rows()] == ["asked", "failed"], "each once"


async def test_a_number_that_no_text_goes_to_was_not_told(world: World) -> None:
    await world.act("change_phone", phone=PHONE, to="+4533123456")
    await world.worker.tell()
    await world.act("change_phone", phone="+4533123456", to=OTHER)
    await world.worker.tell()
    assert [to for to, _ in world.told] == [PHONE]
    assert len(world.log.of("notice.given_up")) == len(world.log.of("notice.sent")) == 1
    assert [outcome for outcome, _ in await world.rows()] == ["asked", "asked", "failed"]
    assert await world.waiting() == 0


DEAR = "+46900123456"


async def test_numbers_that_somebody_is_paid_for_are_told_nothing(world: World) -> None:
    await world.act("change_phone", phone=PHONE, to=DEAR)
    await world.act("change_phone", phone=DEAR, to=OTHER)
    await world.worker.tell()
    assert [to for to, _ in world.told] == [PHONE]
    (barred,) = world.log.of("text.barred")
    assert (barred["country"], barred["why"]) == ("SE", "premium rate")
    assert sorted(outcome for outcome, _ in await world.rows()) == ["asked", "asked", "failed"]
    assert await world.waiting() == 0


@pytest.mark.parametrize("world", [2], indirect=True)
async def test_numbers_that_begin_alike_are_told_of_so_many_changes_in_an_hour_and_of_no_fewer(world: World) -> None:
    """Whoever changes numbers there and back sends no more texts to a range, and keeps no notice from anybody: it waits."""
    for _ in range(2):
        await world.act("add_phone", phone=OTHER)
        await world.act("remove_phone", phone=OTHER)
    await world.worker.tell()
    assert sorted(to for to, _ in world.told) == [PHONE, PHONE, OTHER, OTHER], "each prefix has its own"
    await world.act("add_phone", phone=OTHER)
    await world.worker.tell()
    await world.worker.tell()
    assert len(world.told) == 4
    (withheld,) = world.log.of("notice.withheld")
    assert (withheld["subject"], withheld["budget"]) == (world.ref, "prefix")
    assert [outcome for outcome, _ in await world.rows()] == ["asked"] * 4 + ["withheld"]
    assert await world.waiting() == 1
    # the hour has moved on
    counted = await world.desk.link.ask("KEYS", "*:budget:notices:*")
    assert isinstance(counted, list) and len(counted) == 4
    await world.desk.link.ask("DEL", *counted)
    world.now[0] += 301
    await world.worker.tell()
    assert world.told[-1] == (PHONE, WORDS)
    assert await world.waiting() == 0


@pytest.mark.parametrize("world", [1], indirect=True)
async def test_one_that_waits_for_a_budget_goes_before_those_of_later(world: World) -> None:
    """However often there was nothing left for it: else whoever changes numbers all day would make sure that it is never told."""
    await world.act("add_phone", phone=OTHER)
    await world.worker.tell()
    await world.act("add_phone", phone=THIRD)
    async with world.desk.database.write() as connection:
        await connection.execute(update(NOTICES).values(at=NOTICES.c.at - 60))
        # another SIM of one that is new is nothing to tell
        await connection.execute(update(PHONES).values(since=5).where(PHONES.c.position == 1))
    for _ in range(8):
        await world.worker.tell()
        world.now[0] += 301
    assert len(world.log.of("notice.withheld")) == 8, "every five minutes"
    await world.act("replace_sim", phone=OTHER)
    counted = await world.desk.link.ask("KEYS", "*:budget:notices:*")
    assert isinstance(counted, list)
    await world.desk.link.ask("DEL", *counted)
    await world.worker.tell()
    assert world.told == [(PHONE, WORDS)] * 2
    assert await world.waiting() == 1
    world.now[0] += DAY
    await world.worker.tell()
    assert await world.waiting() == 0
    assert [outcome for outcome, _ in await world.rows()] == ["asked", "withheld", "asked", "withheld", "failed"]


@pytest.mark.parametrize("world", [1], indirect=True)
async def test_what_notices_cost_is_counted_apart_from_codes(world: World) -> None:
    budgets = Budgets(world.desk.link, world.desk.settings.redis.prefix, Limits(texts_prefix_per_hour=1))
    area = range_of(Personal(PHONE), frozenset({"SE"}), 4)
    assert isinstance(area, Range)
    for action in ("add_phone", "remove_phone", "add_phone"):
        await world.act(action, phone=OTHER)
    await world.worker.tell()
    assert len(world.told) == 2 and len(world.log.of("notice.withheld")) == 1
    assert await budgets.spend(area, 1) is None, "a code goes there"
    assert await budgets.spend(area, 1) is Budget.PREFIX


async def test_one_that_cannot_be_read_keeps_up_no_other(world: World) -> None:
    await world.act("add_phone", phone=OTHER)
    await world.act("change_phone", phone=OTHER, to=THIRD)
    async with world.desk.database.write() as connection:
        await connection.execute(update(NOTICES).where(NOTICES.c.id == await first(world)).values(sealed=b"changed"))
    await world.worker.tell()
    assert len(world.told) == 1
    assert len(world.log.of("notice.late")) == 1
    assert await world.waiting() == 1
    world.now[0] += DAY
    await world.worker.tell()
    assert [outcome for outcome, _ in await world.rows()] == ["asked", "failed"]
    assert len(world.log.of("notice.given_up")) == 1
    assert await world.waiting() == 0


async def first(world: World) -> str:
    """That of the notice that is due first."""
    return str((await asked(world.desk.database, "SELECT id FROM customer_notices ORDER BY due, id"))[0][0])


async def test_a_gateway_that_is_back_tells_it(world: World) -> None:
    await world.act("add_phone", phone=OTHER)
    world.gateway.next(Status(503, {}))
    await world.worker.tell()
    world.now[0] += 31
    await world.worker.tell()
    assert world.told[-1] == (PHONE, WORDS)
    assert await world.waiting() == 0


async def test_nobody_is_told_of_which_the_trail_is_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.act("add_phone", phone=OTHER)

    async def fails(_: object) -> str:
        raise StoreError("database: gone")

    with monkeypatch.context() as broken:
        broken.setattr(world.desk.trail, "append", fails)
        async with noticing(world.worker, 0.01):
            await wait_for(lambda: len(world.log.of("notice.unavailable")) > 1)
        assert world.told == []
    async with noticing(world.worker, 0.01):
        await wait_for(lambda: len(world.told) == 1)


async def test_an_erased_customer_is_told_nothing(world: World) -> None:
    await world.act("add_phone", phone=OTHER)
    async with world.desk.database.write() as connection:
        customer = await world.desk.register.by_ref(connection, world.ref, change=True)
        assert customer is not None
        await world.desk.register.remove(connection, customer)
    await world.worker.tell()
    assert (world.told, await world.waiting()) == ([], 0)
    raw = await asked(world.desk.database, "SELECT count(*) FROM customers")
    assert raw[0][0] == 0


async def mail_of(world: World, address: str) -> None:
    async with world.desk.database.write() as connection:
        await mails.keep(connection, world.desk.vault, world.ref, Personal(address), 0)


async def test_another_sim_is_told_to_the_other_contacts(world: World, ca: trustme.CA, mailing: Mailing) -> None:
    """Not to the number itself: whoever has the new SIM would read it."""
    async with serving(ca) as mail:
        worker = world.made(mailing(mail))
        await world.act("add_phone", phone=OTHER)
        await world.act("add_phone", phone=THIRD)
        await worker.tell()
        world.gateway.asked.clear()
        await mail_of(world, "anna@example.com")
        async with world.desk.database.write() as connection:
            await connection.execute(update(PHONES).where(PHONES.c.position == 2).values(since=5))
        await world.act("replace_sim", phone=PHONE)
        await worker.tell()
        assert world.told == [(THIRD, SIM)], "of the others, the one that has been there for longest"
        ((envelope, message),) = mail.taken
        assert envelope.rcpt_tos == ["anna@example.com"]
        assert (message["Subject"], message.get_content().strip()) == ("Acme", SIM)
        # said again by whoever was not sure that it was taken
        await world.act("replace_sim", phone=PHONE)
        await worker.tell()
        assert len(world.told) == len(mail.taken) == 1
    assert await world.waiting() == 0
    told = [detail for _, detail in await world.rows() if "mail" in detail]
    assert told == [{"mail": "a…", "tenant": ANNA.tenant}]
    assert "anna@" not in str(world.log.lines) + str(await world.rows())


async def test_where_no_mail_goes_out_the_address_was_not_told(world: World) -> None:
    await mail_of(world, "anna@example.com")
    await world.act("replace_sim", phone=PHONE)
    await world.worker.tell()
    assert (world.told, await world.waiting()) == ([], 0)
    assert [outcome for outcome, _ in await world.rows()] == ["asked", "failed"]
    assert len(world.log.of("notice.given_up")) == 1


async def test_no_code_goes_to_a_number_with_another_sim(world: World) -> None:
    customers = Customers(world.desk.database, world.desk.vault, cooling=DAY, clock=lambda: world.now[0])
    before = await customers.by_ref(world.ref, ANNA.tenant)
    assert before is not None and before.mobile == Personal(PHONE)
    await world.act("replace_sim", phone=PHONE)
    for after, mobile in ((0, None), (DAY - 120, None), (DAY, Personal(PHONE))):
        world.now[0] = time() + after
        found = await customers.by_ref(world.ref, ANNA.tenant)
        assert found is not None and found.mobile == mobile
    held = await world.desk.read(world.ref)
    assert held is not None and held.phones == (Personal(PHONE),), "the number is the customer's as before"


async def test_of_a_number_that_is_not_the_customers_nothing_is_said(world: World) -> None:
    with pytest.raises(InputError, match="has none like it"):
        await world.act("replace_sim", phone=OTHER)
    assert await world.waiting() == 0


async def test_a_notice_of_an_older_version_is_told(world: World) -> None:
    """It has a number, and nothing else."""
    await world.act("add_phone", phone=OTHER)
    async with world.desk.database.write() as connection:
        stored = select(CUSTOMERS.c.key_id, CUSTOMERS.c.wrapped).where(CUSTOMERS.c.ref == world.ref)
        row = (await connection.execute(stored)).one()
        envelope = world.desk.vault.envelopes.open(world.ref, row.key_id, row.wrapped)
        sealed = envelope.seal(sealing.notice(await first(world)), Personal(THIRD))
        await connection.execute(update(NOTICES).values(sealed=sealed))
    await world.worker.tell()
    assert world.told == [(THIRD, WORDS)]


async def test_the_number_is_sealed(world: World) -> None:
    await world.act("add_phone", phone=OTHER)
    [(sealed,)] = await asked(world.desk.database, "SELECT sealed FROM customer_notices")
    assert PHONE.removeprefix("+46").encode() not in bytes(sealed)
