"""What takes its time is read beside the rest: a few at a time, in their order where it matters, and no fault ends the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from ivr.errors import StoreError
from ivr.secret import Secret
from ivr.sms.aside import Aside
from ivr.store.posted import Posted
from tests.contract.ari_log import Log, wait_for


def posted(body: str) -> Posted:
    return Posted("/check", Secret(""), Secret(""), {}, Secret(body), 0.0)


class Slow:
    """Reads until it is let go."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go = asyncio.Event()

    async def read(self, one: object) -> None:
        assert isinstance(one, Posted)
        self.begun.append(one.body.reveal())
        await self.go.wait()


@asynccontextmanager
async def running(
    read: Callable[[object], Awaitable[None]], *, at_once: int = 2, most: int = 3
) -> AsyncIterator[tuple[Aside, Log]]:
    log = Log()
    aside = Aside("check", read, log.logger, at_once=at_once, most=most)
    task = asyncio.create_task(aside.run())
    try:
        yield aside, log
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_no_more_are_read_at_once_and_what_is_too_much_is_left_out() -> None:
    slow = Slow()
    async with running(slow.read) as (aside, log):
        for n in range(2):
            await aside.take(posted(str(n)))
        await wait_for(lambda: slow.begun == ["0", "1"])
        for n in range(2, 8):
            await aside.take(posted(str(n)))
        assert [(line["kind"], line["count"]) for line in log.of("incoming.crowded")] == [("check", 1)]
        assert slow.begun == ["0", "1"]
        slow.go.set()
        await wait_for(lambda: len(slow.begun) == 5)
        assert slow.begun == ["0", "1", "2", "3", "4"]


async def test_one_at_a_time_keeps_their_order() -> None:
    slow = Slow()
    async with running(slow.read, at_once=1) as (aside, _):
        for n in range(3):
            await aside.take(posted(str(n)))
        await wait_for(lambda: slow.begun == ["0"])
        slow.go.set()
        await wait_for(lambda: slow.begun == ["0", "1", "2"])


async def test_a_fault_with_one_of_them_ends_no_other() -> None:
    read: list[str] = []

    async def fails(one: object) -> None:
        assert isinstance(one, Posted)
        read.append(one.body.reveal())
        if len(read) == 1:
            raise StoreError("Redis: gone")
        if len(read) == 2:
            raise RecursionError("canary")

    async with running(fails, at_once=1) as (aside, log):
        for n in range(3):
            await aside.take(posted(str(n)))
        await wait_for(lambda: read == ["0", "1", "2"])
        assert [line["error"] for line in log.of("incoming.failed")] == ["Redis: gone"]
        assert [(line["error"], line["code"]) for line in log.of("task.failed")] == [("RecursionError", "check")]
        assert "canary" not in str(log.lines)
