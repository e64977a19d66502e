"""`python -m rig.bench.pages`: how late 200 agents' pages are while their calls come and go, on a real Asterisk, and what the desk takes for it."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from ivr.config import load
from ivr.database import Database
from ivr.secret import Personal
from ivr.staff import TENANT, Person, Role, SignedIn
from ivr.store.live import RedisLive
from ivr.store.roster import NewPerson, Roster
from ivr.vault import Vault
from rig.ami import Ami, Message
from rig.asterisk import Pbx
from rig.bench.load import Callers, sipp
from rig.bench.process import cpu_seconds, size
from rig.ports import HOST, Ports
from rig.stage import Stage
from rig.state import RigError

AGENTS, CHANGES, SECONDS = 200, 50, 40
# A call lasts so long that each agent is free again before the next one comes.
_TALK_SECONDS = 5
# A page that is not told of a change in so long has missed it.
_LATE = 10.0

_DIALPLAN = """
[bench]
exten => _5XXX,1,Dial(PJSIP/desk${EXTEN:1},10)
"""
_PHONES = """
[bench]
type = endpoint
context = bench
disallow = all
allow = ulaw
direct_media = no
media_address = 127.0.0.1
bind_rtp_to_media_address = yes
"""
_PHONE = """
[desk{number:03d}]
type = endpoint
aors = desk{number:03d}
context = bench
disallow = all
allow = ulaw
direct_media = no
media_address = 127.0.0.1
bind_rtp_to_media_address = yes

[desk{number:03d}]
type = aor
contact = sip:desk{number:03d}@127.0.0.1:{port}
"""


@dataclass
class Agent:
    """One agent's page. `at`: when Asterisk told of the change that the page has not shown yet."""

    endpoint: str
    cookie: str
    talking: bool = False
    at: float | None = None
    shown: bool = False


@dataclass
class Seen:
    """What was measured: lags in ms, sorted; changes that a page never showed, because the next one came first or too late."""

    lags: list[float] = field(default_factory=list)
    missed: int = 0

    def quantile(self, share: float) -> float:
        ordered = sorted(self.lags)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Pages(Ami):
    """Hears what the desk hears, and follows all pages."""

    def __init__(self, pbx: Pbx, url: str, agents: list[Agent]) -> None:
        super().__init__(pbx)
        self._url = url
        self._agents = {agent.endpoint: agent for agent in agents}
        self.seen = Seen()
        self.team: list[float] = []

    def feed(self, message: Message) -> None:
        """A change begins where the agent's own channel comes into a bridge, or leaves it."""
        if "Response" in message:
            super().feed(message)
        kind = message.get("Event")
        if kind not in ("BridgeEnter", "BridgeLeave"):
            return
        agent = self._agents.get(message.get("Channel", "").rpartition("-")[0])
        if agent is None:
            return
        if agent.at is not None:
            self.seen.missed += 1
        agent.talking, agent.at = kind == "BridgeEnter", time.monotonic()

    async def follow(self, browser: aiohttp.ClientSession, agent: Agent, ready: asyncio.Event) -> None:
        """Read the page's websocket until cancelled."""
        async with browser.ws_connect(f"{self._url}/live", headers=_headers(self._url, agent.cookie)) as socket:
            async for message in socket:
                ready.set()
                agent.shown = bool(json.loads(message.data)["calls"])
                if agent.at is not None and agent.shown == agent.talking:
                    self.seen.lags.append((time.monotonic() - agent.at) * 1000)
                    agent.at = None

    async def follow_team(self, browser: aiohttp.ClientSession, cookie: str) -> None:
        """A supervisor's page, whose lag is not measured: it is there, and costs something."""
        async with browser.ws_connect(f"{self._url}/team/live", headers=_headers(self._url, cookie)) as socket:
            async for _ in socket:
                pass


def _headers(url: str, cookie: str) -> dict[str, str]:
    return {"Origin": url, "Cookie": f"__Host-desk={cookie}"}


async def _signed_in(stage: Stage, count: int) -> tuple[list[Agent], str]:
    """So many agents of one team, and their supervisor, each with a session. Signing in itself is no part of this."""
    settings = load(stage.config)
    vault = Vault.open(settings)
    roster = Roster(vault)
    live = await RedisLive.open(settings)
    try:
        async with await Database.open(settings) as database:
            people: list[Person] = []
            async with database.write() as connection:
                for number in range(count):
                    new = NewPerson(
                        TENANT, f"agent{number:03d}", Personal(f"Agent {number}"), Role.AGENT, "bench", (f"PJSIP/desk{number:03d}",),
                    )  # fmt: skip
                    people.append(await roster.add(connection, new))
                chief = NewPerson(TENANT, "chief", Personal("Chief"), Role.SUPERVISOR, "bench")
                people.append(await roster.add(connection, chief))
        sessions = live.sessions(settings.desk)
        cookies = []
        for person in people:
            begun = await sessions.begin(SignedIn(person, None, time.time_ns() // 1000))
            if not isinstance(begun, tuple):
                raise RigError(f"{person.login} is not signed in")
            cookies.append(begun[0].reveal())
    finally:
        await live.close()
        vault.close()
    agents = [Agent(f"PJSIP/desk{number:03d}", cookie) for number, cookie in enumerate(cookies[:-1])]
    return agents, cookies[-1]


@contextmanager
def _answering(pbx: Pbx, port: int) -> Iterator[None]:
    """The agents' phones: they answer at once."""
    program = shutil.which("sipp")
    if program is None:
        raise RigError("there is no sipp: install the package sip-tester")
    command = [program, "-sn", "uas", "-i", HOST, "-p", str(port), "-mi", HOST, "-mp", "52000", "-nostdin"]
    with (pbx.folder / "log" / "phones.log").open("wb") as output:
        process = subprocess.Popen(command, cwd=pbx.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            yield
        finally:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Measured:
    """`cpu`: of one core, in percent; of the desk, and of Asterisk beside it. `kib`: before and after."""

    agents: int
    changes: int
    seen: Seen
    cpu: float
    asterisk_cpu: float
    kib: tuple[int, int]
    idle_cpu: float

    @property
    def told(self) -> str:
        return (
            f"{self.agents} agents, {self.changes} changes a second: {len(self.seen.lags)} changes shown, {self.seen.missed} not; "
            f"lag median {self.seen.quantile(0.5):.0f} ms, 99th {self.seen.quantile(0.99):.0f} ms, longest {max(self.seen.lags):.0f} ms\n"
            f"desk: {self.cpu:.0f} % of a core ({self.idle_cpu:.0f} % without calls), {self.kib[1] / 1024:.0f} MB "
            f"({(self.kib[1] - self.kib[0]) / 1024:+.1f} in this run); Asterisk: {self.asterisk_cpu:.0f} %"
        )


async def measure(stage: Stage, ports: Ports, count: int, changes: int, seconds: int, *, team: bool = True) -> Measured:
    """`changes` a second: half of them are calls that begin, half the same calls' ends."""
    agents, chief = await _signed_in(stage, count)
    rate = changes // 2
    async with AsyncExitStack() as stack:
        desk = stage.desk()
        await asyncio.to_thread(desk.start)
        stack.callback(desk.stop)
        pid = desk.child.pid
        pages = Pages(stage.pbx, desk.url, agents)
        await stack.enter_async_context(pages)
        connector = aiohttp.TCPConnector(limit=0)
        jar = aiohttp.DummyCookieJar()
        browser = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, cookie_jar=jar))
        following = []
        for agent in agents:
            ready = asyncio.Event()
            following.append(asyncio.create_task(pages.follow(browser, agent, ready)))
            await ready.wait()
        if team:
            following.append(asyncio.create_task(pages.follow_team(browser, chief)))
        stack.callback(lambda: [task.cancel() for task in following])
        before, at = cpu_seconds(pid), time.monotonic()
        await asyncio.sleep(5)
        idle = (cpu_seconds(pid) - before) / (time.monotonic() - at) * 100
        calls = Callers("talk", "talking.xml", rate * seconds, [5000 + n % count for n in range(rate * seconds)])
        with sipp(stage.pbx, calls, rate=rate, ports=ports, hold_seconds=_TALK_SECONDS) as (process, _):
            # until as many end as begin
            await asyncio.sleep(_TALK_SECONDS + 2)
            pages.seen.lags.clear()
            pages.seen.missed = 0
            kib, cpu, theirs, at = size(pid).kib, cpu_seconds(pid), cpu_seconds(stage.pbx.child.pid), time.monotonic()
            await asyncio.sleep(seconds - _TALK_SECONDS - 4)
            lasted = time.monotonic() - at
            spent, asterisk = cpu_seconds(pid) - cpu, cpu_seconds(stage.pbx.child.pid) - theirs
            kept = Seen([*pages.seen.lags], pages.seen.missed)
            kept.missed += sum(
                agent.at is not None and time.monotonic() - agent.at > _LATE for agent in agents
            )  # fmt: skip
            await asyncio.to_thread(process.wait, 60)
        return Measured(
            count, changes, kept, spent / lasted * 100, asterisk / lasted * 100, (kib, size(pid).kib), idle
        )  # fmt: skip


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="rig.bench.pages", description=__doc__)
    parser.add_argument("--agents", type=int, default=AGENTS, help=f"pages that are open ({AGENTS})")
    parser.add_argument("--changes", type=int, default=CHANGES, help=f"changes a second ({CHANGES})")
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"how long ({SECONDS})")
    parser.add_argument("--log", type=Path, help="where the desk's log is copied to")
    options = parser.parse_args()
    try:
        print(run(options.agents, options.changes, options.seconds, options.log).told)
    except RigError as error:
        print(error)
        return 1
    return 0


def run(agents: int = AGENTS, changes: int = CHANGES, seconds: int = SECONDS, log: Path | None = None) -> Measured:
    """The whole of it, on an Asterisk of its own; the desk's log is copied to `log`. Raises `RigError`."""
    ports = Ports(200)
    try:
        port = ports.take()
        phones = _PHONES + "".join(_PHONE.format(number=number, port=port) for number in range(agents))
        settings: dict[str, dict[str, object]] = {"log": {"level": "INFO", "format": "json"}}
        stage = Stage(
            name="pages", dialplan=_DIALPLAN, customers=(), settings=settings, brisk=True, ports=4000, desk=True,
            overrides={"pjsip.conf": phones},
        )  # fmt: skip
        with stage, _answering(stage.pbx, port):
            measured = asyncio.run(measure(stage, ports, agents, changes, seconds))
            if log:
                shutil.copy(stage.pbx.folder / "log" / "desk.jsonl", log)
            return measured
    finally:
        ports.close()


if __name__ == "__main__":
    sys.exit(main())
