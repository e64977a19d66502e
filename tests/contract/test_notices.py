"""Whom a change at the desk is told to: the number that was there before, by text, from whichever worker looks first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from time import time

import orjson
import pytest
from sqlalchemy import update

from ivr import sms
from ivr.errors import InputError, StoreError
from ivr.lock.words import Done
from ivr.noticing import Noticing, noticing
from ivr.prompts import text
from ivr.secret import Secret
from ivr.store.notices import Notices
from ivr.store.tables import NOTICES
from tests.contract import texts_kit
from tests.contract.ari_log import Log, wait_for
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, PHONE, Desk, desk_of
from tests.contract.texts_server import Status, TextsServer, elks
from tests.unit.database_kit import asked, settings_in

pytestmark = pytest.mark.servers

OTHER, THIRD = "+46709999999", "+46708888888"
DAY = 24 * 3600
WORDS = text("phone_changed", "sv", company="Acme")


@dataclass
class World:
    """A desk whose agent changes numbers, a worker that tells of it, and a gateway."""

    desk: Desk
    gateway: TextsServer
    worker: Noticing
    another: Noticing
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
async def world(tmp_path: Path, server: Server) -> AsyncIterator[World]:
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

        def worker() -> Noticing:
            turn = desk.live.turn("notices", seconds=60)
            notices = Notices(desk.database, desk.vault)
            return Noticing(notices, texts, desk.trail, turn, "Acme", log.logger, wall=lambda: now[0])

        yield World(desk, gateway, worker(), worker(), log, now, await desk.call(level=3))


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
    await asyncio.gather(world.worker.tell(), world.another.tell(), world.another.tell())
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


async def test_the_number_is_sealed(world: World) -> None:
    await world.act("add_phone", phone=OTHER)
    [(sealed,)] = await asked(world.desk.database, "SELECT sealed FROM customer_notices")
    assert PHONE.removeprefix("+46").encode() not in bytes(sealed)
