"""`python -m rig.bench.crossing`: what the proxy adds to a request, beside the CRM alone, with a real call behind it."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from statistics import median

import aiohttp
from rich.console import Console
from rich.table import Table

from rig.guest import Guest
from rig.phone import Phone
from rig.stage import ANNA, Stage, code_in
from rig.state import wait_until

COUNT = 1000
_WARM = 100
_LIMIT = 20.0
# What the proxy may add to a request that is locked, in milliseconds at the median.
AIM = 3.0

Ask = Callable[[], Awaitable[None]]


@dataclass
class Crossing:
    """Requests of one kind: milliseconds, without and with the proxy."""

    what: str
    locked: bool
    alone: list[float]
    behind: list[float]

    @property
    def adds(self) -> float:
        """At the median."""
        return median(self.behind) - median(self.alone)

    @property
    def too_much(self) -> str | None:
        """A sentence where the aim is not met."""
        if not self.locked or self.adds <= AIM:
            return None
        return f"{self.what}: the proxy adds {self.adds:.2f} ms at the median, and may add {AIM:g}"


def main() -> int:
    """Measure, and print; 1 where the proxy adds too much to what is locked."""
    parser = argparse.ArgumentParser(prog="rig.bench.crossing", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help=f"requests of each kind ({COUNT})")
    crossings = asyncio.run(measure(parser.parse_args().count))
    out = Console(width=None if sys.stdout.isatty() else 110)
    out.print(table(crossings))
    return 0 if within(crossings, out) else 1


def within(crossings: Iterable[Crossing], out: Console) -> bool:
    """Whether each is; says which is not."""
    wrong = [sentence for one in crossings if (sentence := one.too_much) is not None]
    for sentence in wrong:
        out.print(sentence, highlight=False, soft_wrap=True)
    return not wrong


def table(crossings: Iterable[Crossing]) -> Table:
    """A line a kind of request."""
    made = Table("ms", box=None)
    for head in ("CRM alone: median", "99th", "by the proxy: median", "99th", "it adds"):
        made.add_column(head, justify="right")
    for one in crossings:
        figures = (median(one.alone), _late(one.alone), median(one.behind), _late(one.behind), one.adds)
        made.add_row(one.what, *(f"{figure:.2f}" for figure in figures))
    return made


async def measure(count: int) -> list[Crossing]:
    """One verified caller on an agent's line, and the agent's requests."""
    with _everything() as (stage, desk_url, proxy_url, crm_url):
        link = (await asyncio.to_thread(stage.command, "agent", "add", "anna", "--name", "Anna", "--role", "agent", "--endpoint", "PJSIP/agent1")).split()[-1]  # fmt: skip
        async with AsyncExitStack() as stack:
            agent = await stack.enter_async_context(Phone(stage.pbx.line("agent1")))
            caller = await stack.enter_async_context(Phone(stage.pbx.line("caller")))
            await _verified(stage, caller)
            ref = re.search(r"ref=([a-z0-9]{12})", str((await agent.incoming()).header("X-Caller-Auth")))
            await agent.answer()
            await caller.until("confirmed")
            guest = await stack.enter_async_context(Guest(desk_url, proxy_url, link, "anna"))
            direct = await stack.enter_async_context(aiohttp.ClientSession())
            assert ref is not None

            def alone(path: str) -> Ask:
                return lambda: _read(direct, crm_url + path)

            def behind(path: str) -> Ask:
                return lambda: _passed(guest, path)

            rows = []
            for what, locked, path in (
                ("a record, parts of it taken out", True, f"/api/customers/{ANNA.number}"),
                ("a record by Tillit's reference", True, f"/api/by-reference/{ref[1]}"),
                ("a document of 256 KiB", True, f"/api/customers/{ANNA.number}/document"),
                ("what is free", False, "/assets/first.css"),
            ):
                rows.append(Crossing(what, locked, *await _times(alone(path), behind(path), count)))
            return rows


async def _verified(stage: Stage, caller: Phone) -> None:
    await caller.call("100", number=ANNA.phones)
    log = stage.worker_log

    def asked(entry: str) -> bool:
        return log.exists() and f'"entry": "{entry}"' in log.read_text().replace('":"', '": "')

    await asyncio.to_thread(wait_until, lambda: asked("pin"), _LIMIT, "the question for the PIN")
    await caller.send_digits(f"{ANNA.pin}#")
    text = await asyncio.to_thread(stage.wait_text, ANNA.phones)
    await asyncio.to_thread(wait_until, lambda: asked("sms_code"), _LIMIT, "the question for the code")
    await caller.send_digits(code_in(text))


async def _times(alone: Ask, behind: Ask, count: int) -> tuple[list[float], list[float]]:
    """In turns: what else the machine does meets both."""
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(_WARM + count):
        for ask, times in zip((alone, behind), found, strict=True):
            begun = time.perf_counter()
            await ask()
            if number >= _WARM:
                times.append((time.perf_counter() - begun) * 1000)
    return found


async def _read(session: aiohttp.ClientSession, url: str) -> None:
    async with session.get(url) as answer:
        assert answer.status == 200
        await answer.read()


async def _passed(guest: Guest, path: str) -> None:
    status, body = await guest.get(path)
    assert status == 200, body


def _late(times: list[float]) -> float:
    return sorted(times)[len(times) * 99 // 100]


@contextmanager
def _everything() -> Iterator[tuple[Stage, str, str, str]]:
    settings: dict[str, dict[str, object]] = {
        "log": {"level": "INFO", "format": "json"},
        "steps.pin": {"scrypt_p": 1},
        # one person asks as fast as it goes
        "proxy": {"per_minute": 100_000},
    }
    stage = Stage(name="bench-proxy", customers=(ANNA,), settings=settings, brisk=True, desk=True, crm=True)
    with stage, stage.worker(), stage.crm() as crm, stage.desk() as desk, stage.proxy() as proxy:
        yield stage, desk.url, proxy.url, crm.url


if __name__ == "__main__":
    sys.exit(main())
