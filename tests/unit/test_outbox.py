"""What is to be told to webhooks' receivers, on SQLite and on a real PostgreSQL: in order of each call, once, while rows are written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from ivr.call.ports import Entry
from ivr.database import Database
from ivr.hooks.outbox import Outbox, Standing
from tests.unit.conftest import Either
from tests.unit.database_kit import INDEX, database_of, trail_of

ALL = ("call.verified", "call.refused", "mark.ended")
HOUR = 3600


@pytest.fixture
async def database(either: Either) -> AsyncIterator[Database]:
    async with await database_of(either()) as made:
        yield made


def ended(call: str, outcome: str, **detail: str) -> Entry:
    told = {"node": "n", "policy": "usual", "level": "2", "steps": "pin:passed", "round": "first", **detail}
    return Entry("caller", "verify", outcome, call=call, subject="abcdefghijkl", detail=told)


async def outcomes(outbox: Outbox, receiver: str = "crm", now: float | None = 10.0) -> list[str]:
    """What is due, by the outcome that its body tells."""
    bodies = [orjson.loads(one.body)["data"] for one in await outbox.due(receiver, now, 100)]
    return [body.get("outcome", "verified") for body in bodies]


async def test_each_receiver_hears_of_its_tenants_calls_alone(database: Database) -> None:
    receivers = dict.fromkeys(("ours", "theirs", "both"), ALL)
    outbox = Outbox(database, receivers, {"theirs": ("north",), "both": ("main", "north")})
    await outbox.read(0, INDEX)
    async with trail_of(database, "w") as trail:
        await trail.append(ended("c.1", "verified", tenant="north"))
        await trail.append(ended("c.2", "refused", tenant="north"))
        # as an earlier version has written it: whose it is, the customer says
        await trail.append(ended("c.3", "refused"))
        await trail.append(ended("c.1", "verified", tenant="north"))
    assert await outbox.read(0, INDEX) == 4
    (mark,) = await outbox.watched()
    await outbox.gone([(mark, "over")], 5, INDEX)

    async def told(receiver: str) -> list[tuple[str, str]]:
        found = []
        while due := await outbox.due(receiver, None, 100):
            found += [(body["data"]["channel"], body["type"]) for body in (orjson.loads(one.body) for one in due)]
            for one in due:
                await outbox.taken(one)
        return sorted(found)

    theirs = [("c.1", "call.verified"), ("c.1", "call.verified"), ("c.1", "mark.ended"), ("c.1", "mark.ended"), ("c.2", "call.refused")]  # fmt: skip
    assert await told("ours") == [("c.3", "call.refused")]
    assert await told("theirs") == theirs
    assert await told("both") == [*theirs, ("c.3", "call.refused")]


async def test_each_call_in_its_order_and_each_receiver_by_itself(database: Database) -> None:
    outbox = Outbox(database, {"crm": ALL, "erp": ("call.refused",)})
    assert await outbox.unread() == 0
    async with trail_of(database, "north") as north, trail_of(database, "south") as south:
        await outbox.read(0, INDEX)
        for outcome in "timeout", "refused":
            await north.append(ended("c.1", outcome))
        await south.append(ended("c.2", "locked"))
        assert await outbox.unread() == 3
        assert await outbox.read(0, INDEX) == 3 and await outbox.unread() == 0 and await outbox.read(0, INDEX) == 0
        assert sorted(await outcomes(outbox)) == sorted(await outcomes(outbox, "erp")) == ["locked", "timeout"]

        (message,) = [one for one in await outbox.due("crm", 10.0, 100) if "timeout" in one.body]
        await outbox.not_taken(message, 100.0)
        assert await outcomes(outbox) == ["locked"] and await outcomes(outbox, now=None) == ["locked", "timeout"]
        await outbox.hurry("crm")
        assert sorted(await outcomes(outbox)) == ["locked", "timeout"]
        # what comes later stands behind what is not taken
        await north.append(ended("c.1", "verified"))
        await outbox.read(0, INDEX)
        assert sorted(await outcomes(outbox)) == ["locked", "timeout"]
        await outbox.taken(message)
        assert sorted(await outcomes(outbox)) == ["locked", "refused"]
        (message,) = [one for one in await outbox.due("crm", 10.0, 100) if '"outcome":"refused"' in one.body]
        await outbox.not_taken(message, None)
        assert sorted(await outcomes(outbox)) == ["locked", "verified"]
        assert (await outbox.standing())["crm"].dead == 1
        assert await outbox.revive("crm", 5.0) == 1
        assert sorted(await outcomes(outbox)) == ["locked", "refused"]
        assert sorted(await outcomes(outbox, "erp")) == ["locked", "timeout"], "that one goes by itself"


async def test_what_is_too_old_is_given_up_and_what_stands_behind_it_is_not(database: Database) -> None:
    outbox = Outbox(database, {"crm": ALL})
    async with trail_of(database, "tillit") as trail:
        await outbox.read(0, INDEX)
        await trail.append(ended("c.1", "timeout", happened="2026-01-01T00:00:00.000000Z"))
        await trail.append(ended("c.1", "refused"))
        await outbox.read(0, INDEX)
        assert await outcomes(outbox) == ["timeout"]
        old = (await outbox.due("crm", 10.0, 1))[0].since
        assert await outbox.give_up("crm", old) == 0
        assert await outbox.give_up("crm", old + 1) == 1
        assert await outcomes(outbox) == ["refused"]
        found = (await outbox.standing())["crm"]
        assert (found.waiting, found.dead) == (1, 1)
        assert await outbox.forget(old + 1) == 1
        assert (await outbox.standing())["crm"].dead == 0


async def test_rows_that_are_written_meanwhile_are_told_of_once(database: Database) -> None:
    """Several workers write, two desks read: no row is left out, and none is there twice."""
    one, two = Outbox(database, {"crm": ALL}), Outbox(database, {"crm": ALL})
    await one.read(0, INDEX)
    told: list[str] = []

    async def write(chain: str) -> None:
        async with trail_of(database, chain) as trail:
            for number in range(15):
                await trail.append(ended(f"{chain}.{number % 3}", f"{chain}:{number}"))

    async def take(outbox: Outbox, writing: asyncio.Task[list[None]]) -> None:
        while True:
            over = writing.done()
            if await outbox.read(0, INDEX) == 0 and over:
                return

    writing = asyncio.create_task(_all(write("a"), write("b"), write("c")))
    await asyncio.gather(take(one, writing), take(two, writing))
    while found := await one.due("crm", 10.0, 16):
        for message in found:
            told.append(orjson.loads(message.body)["data"]["outcome"])
            await one.taken(message)
    assert sorted(told) == sorted(f"{chain}:{number}" for chain in "abc" for number in range(15))
    for chain in "abc":
        for call in range(3):
            mine = [int(outcome[2:]) for outcome in told if outcome[0] == chain and int(outcome[2:]) % 3 == call]
            assert mine == sorted(mine)
    assert await one.standing() == {"crm": Standing(0, 0, 0)}


async def _all(*work: asyncio.Future[None]) -> list[None]:
    return await asyncio.gather(*work)
