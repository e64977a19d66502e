"""Letters as they come in: none waits for another's domain, and a flood of them fills nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ivr.errors import ConfigError
from ivr.lock.peering import Arrived
from ivr.lock.reception import Reception
from ivr.peering import check
from ivr.secret import Secret
from ivr.store.posted import Posted
from tests.contract.ari_log import Log, wait_for
from tests.unit.database_kit import settings_in


class Peering:
    """Letters wait until the test says that their domains have answered."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.done: list[str] = []
        self.answers = asyncio.Event()

    async def arrived(self, text: Secret) -> Arrived:
        self.began.append(text.reveal())
        if text == Secret("odd"):
            raise RuntimeError("something of the letter")
        if text != Secret("quick"):
            await self.answers.wait()
        self.done.append(text.reveal())
        return Arrived.TAKEN


def posted(text: str) -> Posted:
    return Posted("peers", Secret(""), Secret("/in/peers"), {}, Secret(text), 0.0)


@asynccontextmanager
async def reading(peering: Peering, log: Log, **how: int) -> AsyncIterator[Reception]:
    made = Reception(peering, log.logger, **how)
    running = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_domain_that_does_not_answer_holds_nobody_up() -> None:
    peering, log = Peering(), Log()
    async with reading(peering, log, at_once=2) as reception:
        await reception.take(posted("slow"))
        await reception.take(posted("quick"))
        await wait_for(lambda: peering.done == ["quick"])
        assert peering.began == ["slow", "quick"]
        peering.answers.set()
        await wait_for(lambda: peering.done == ["quick", "slow"])


async def test_no_more_domains_are_asked_at_once_and_what_is_too_much_is_left_out() -> None:
    peering, log = Peering(), Log()
    async with reading(peering, log, at_once=2, most=3) as reception:
        for count in range(2):
            await reception.take(posted(f"{count}"))
        await wait_for(lambda: len(peering.began) == 2)
        for count in range(2, 9):
            await reception.take(posted(f"{count}"))
        for _ in range(10):
            # whoever else would read has its turn
            await asyncio.sleep(0)
        assert peering.began == ["0", "1"]
        # told once, not for each
        assert [line["count"] for line in log.of("peer.crowded")] == [1]
        peering.answers.set()
        await wait_for(lambda: len(peering.done) == 5)
        assert sorted(peering.began) == ["0", "1", "2", "3", "4"]


async def test_a_letter_that_nobody_has_thought_of_ends_no_other() -> None:
    peering, log = Peering(), Log()
    async with reading(peering, log, at_once=1) as reception:
        for text in ("odd", "quick", "odd", "quick"):
            await reception.take(posted(text))
        await wait_for(lambda: peering.done == ["quick", "quick"])
    # nothing of what was sent
    assert [line["error"] for line in log.of("peer.failed")] == ["RuntimeError"] * 2


def test_others_reach_us_by_the_public_page(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    known = settings.model_copy(update={"peers": settings.peers.model_copy(update={"domain": "hospital.example"})})
    with pytest.raises(ConfigError, match="others reach us by the public page"):
        check(known)
    check(settings)
    check(known.model_copy(update={"page": known.page.model_copy(update={"url": "https://id.hospital.example"})}))
