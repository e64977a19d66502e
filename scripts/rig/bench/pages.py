"""`python -m rig.bench.pages`: how late 200 agents' pages are while verified callers come and go, on a real Asterisk, and what the desk takes for it."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import aiohttp

from ivr.call.mark import Mark
from ivr.call.outcome import Verified
from ivr.call.ports import Attempt
from ivr.call.progress import Progress
from ivr.config import load
from ivr.database import Database
from ivr.secret import Personal, Secret
from ivr.staff import TENANT, Person, Role, SignedIn
from ivr.store.customers import Customers
from ivr.store.live import RedisLive
from ivr.store.roster import NewPerson, Roster
from ivr.vault import Vault
from rig.ami import Ami, Message
from rig.asterisk import Pbx
from rig.bench.lags import Counted, Page, counted
from rig.bench.load import Callers, sipp
from rig.bench.process import cpu_seconds, size
from rig.ports import HOST, Ports
from rig.stage import CUSTOMERS, Stage
from rig.state import RigError

AGENTS, CALLS, SECONDS = 200, 50, 40
AIM = 500.0
"""Milliseconds, at the 99th: more is a failure."""
# A page that is not told of a change in so long has missed it.
_LATE = 10.0
_LEVEL = 2

# Whoever is verified before an agent answers has waited longer than this for the agent.
_DIALPLAN = """
[bench]
exten => _5XXX,1,Wait(0.3)
 same => n,Dial(PJSIP/desk${EXTEN:1},10)
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
    """One agent at a browser."""

    endpoint: str
    cookie: str
    page: Page = field(default_factory=Page)


class Marks:
    """Gives callers their marks, as a worker does."""

    def __init__(self, live: RedisLive, node: str, app: str, refs: Sequence[str]) -> None:
        self._live = live
        self._node, self._app, self._refs = node, app, refs
        self._given: set[asyncio.Task[None]] = set()

    def begin(self, channel: str) -> None:
        """This caller is verified, as one of the customers."""
        giving = asyncio.create_task(self._give(channel))
        self._given.add(giving)
        giving.add_done_callback(self._over)

    async def _give(self, channel: str) -> None:
        ref = self._refs[len(self._given) % len(self._refs)]
        progress = Progress.begin(app=self._app, node=self._node, channel=channel, policy="main", again=False)
        await self._live.begin(progress)
        verified = Verified("main", ref, _LEVEL, ("pin", "sms_code"), 600)
        mark = Mark.of(verified, node=self._node, channel=channel, now=time.time())
        await self._live.place_mark(mark, Attempt(ref, None, f"{self._node}:{channel}"), progress)
        await self._live.end(progress)

    def _over(self, giving: asyncio.Task[None]) -> None:
        self._given.discard(giving)
        giving.result()


class Pages(Ami):
    """Hears what the desk hears, and follows all pages."""

    def __init__(self, pbx: Pbx, url: str, agents: list[Agent], marks: Marks) -> None:
        super().__init__(pbx)
        self._url = url
        self._agents = {agent.endpoint: agent for agent in agents}
        self._marks = marks

    def feed(self, message: Message) -> None:
        """A change begins where the agent's own channel comes into a bridge, or leaves it."""
        if "Response" in message:
            super().feed(message)
        kind = message.get("Event")
        if kind == "Newchannel" and message.get("Exten", "").startswith("5"):
            self._marks.begin(message["Uniqueid"])
        if kind not in ("BridgeEnter", "BridgeLeave"):
            return
        agent = self._agents.get(message.get("Channel", "").rpartition("-")[0])
        if agent is not None:
            (agent.page.joined if kind == "BridgeEnter" else agent.page.left)(time.monotonic())

    async def follow(self, browser: aiohttp.ClientSession, agent: Agent, ready: asyncio.Event) -> None:
        """Read the page's websocket until cancelled."""
        async with browser.ws_connect(f"{self._url}/live", headers=_headers(self._url, agent.cookie)) as socket:
            async for message in socket:
                ready.set()
                calls = json.loads(message.data)["calls"]
                # not before the customer's name is there
                verified = [call["id"] for call in calls if call["sign"] == "verified" and call["name"]]
                agent.page.told(verified, not calls, time.monotonic())

    async def follow_team(self, browser: aiohttp.ClientSession, cookie: str) -> None:
        """A supervisor's page, whose lag is not measured: it is there, and costs something."""
        async with browser.ws_connect(f"{self._url}/team/live", headers=_headers(self._url, cookie)) as socket:
            async for _ in socket:
                pass


def _headers(url: str, cookie: str) -> dict[str, str]:
    return {"Origin": url, "Cookie": f"__Host-desk={cookie}"}


@asynccontextmanager
async def _world(stage: Stage, count: int) -> AsyncIterator[tuple[list[Agent], str, Marks]]:
    """So many agents of one team, and their supervisor's cookie, each with a session; and marks for callers. Signing in itself is no part of this."""
    settings = load(stage.config)
    vault = Vault.open(settings)
    roster = Roster(vault)
    live = await RedisLive.open(settings)
    try:
        async with await Database.open(settings) as database:
            customers = await Customers.open(database, vault)
            refs = [ref for one in CUSTOMERS if (ref := await customers.ref_of(Secret(one.number), TENANT)) is not None]
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
        agents = [Agent(f"PJSIP/desk{number:03d}", cookie) for number, cookie in enumerate(cookies[:-1])]
        marks = Marks(live, _entity(stage.pbx), settings.asterisk.app, refs)
        yield agents, cookies[-1], marks
    finally:
        await live.close()
        vault.close()


def _entity(pbx: Pbx) -> str:
    """What ARI calls the node."""
    found: str = pbx.ari("GET", "asterisk/info?only=system")["system"]["entity_id"]
    return found


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
    """`calls`: a second. `cpu`: of one core, in percent; of the desk, and of Asterisk beside it. `kib`: before and after."""

    agents: int
    calls: int
    seen: Counted
    cpu: float
    asterisk_cpu: float
    kib: tuple[int, int]
    idle_cpu: float

    @property
    def good(self) -> bool:
        """Whether the aim is met, and every change was shown, or superseded by one that was."""
        return not self.seen.missed and self.seen.quantile(0.99) <= AIM

    @property
    def told(self) -> str:
        return (
            f"{self.agents} agents, {self.calls} calls a second, each verified, coming and going: {len(self.seen.lags)} changes, of which "
            f"{self.seen.superseded} superseded before they were shown, and {self.seen.missed} missed; lag median "
            f"{self.seen.quantile(0.5):.0f} ms, 99th {self.seen.quantile(0.99):.0f} ms, longest {self.seen.longest:.0f} ms\n"
            f"desk: {self.cpu:.0f} % of a core ({self.idle_cpu:.0f} % without calls), {self.kib[1] / 1024:.0f} MB "
            f"({(self.kib[1] - self.kib[0]) / 1024:+.1f} in this run); Asterisk: {self.asterisk_cpu:.0f} %"
        )


async def measure(stage: Stage, ports: Ports, count: int, rate: int, seconds: int, *, team: bool = True) -> Measured:
    """`rate` calls a second. `team`: whether a supervisor watches them all."""
    async with AsyncExitStack() as stack:
        agents, chief, marks = await stack.enter_async_context(_world(stage, count))
        desk = stage.desk()
        await asyncio.to_thread(desk.start)
        stack.callback(desk.stop)
        pid = desk.child.pid
        pages = Pages(stage.pbx, desk.url, agents, marks)
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
        # each agent is free again before the next caller comes
        talk = max(1, min(5, count // rate - 2))
        calls = Callers("talk", "talking.xml", rate * seconds, [5000 + n % count for n in range(rate * seconds)])
        with sipp(stage.pbx, calls, rate=rate, ports=ports, hold_seconds=talk) as (process, _):
            # until as many end as begin
            await asyncio.sleep(talk + 2)
            kib, cpu, theirs, at = size(pid).kib, cpu_seconds(pid), cpu_seconds(stage.pbx.child.pid), time.monotonic()
            await asyncio.sleep(seconds - talk - 4)
            lasted = time.monotonic() - at
            spent, asterisk = cpu_seconds(pid) - cpu, cpu_seconds(stage.pbx.child.pid) - theirs
            end = at + lasted
            with suppress(TimeoutError):
                async with asyncio.timeout(_LATE):
                    while not all(agent.page.settled(end) for agent in agents):
                        await asyncio.sleep(0.01)
            kept = counted(
                chain.from_iterable(agent.page.changes for agent in agents), at, end, time.monotonic(), _LATE
            )
            await asyncio.to_thread(process.wait, 60)
        return Measured(
            count, rate, kept, spent / lasted * 100, asterisk / lasted * 100, (kib, size(pid).kib), idle
        )  # fmt: skip


def main() -> int:
    """Measure, and print; 1 where the pages are too late, or do not show a change."""
    parser = argparse.ArgumentParser(prog="rig.bench.pages", description=__doc__)
    parser.add_argument("--agents", type=int, default=AGENTS, help=f"pages that are open ({AGENTS})")
    parser.add_argument("--calls", type=int, default=CALLS, help=f"calls a second ({CALLS})")
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"how long ({SECONDS})")
    parser.add_argument("--log", type=Path, help="where the desk's log is copied to")
    options = parser.parse_args()
    try:
        measured = run(options.agents, options.calls, options.seconds, options.log)
    except RigError as error:
        print(error)
        return 1
    print(measured.told)
    return 0 if measured.good else 1


def run(agents: int = AGENTS, calls: int = CALLS, seconds: int = SECONDS, log: Path | None = None) -> Measured:
    """The whole of it, on an Asterisk of its own; the desk's log is copied to `log`. Raises `RigError`."""
    ports = Ports(200)
    try:
        port = ports.take()
        phones = _PHONES + "".join(_PHONE.format(number=number, port=port) for number in range(agents))
        settings: dict[str, dict[str, object]] = {"log": {"level": "INFO", "format": "json"}}
        stage = Stage(
            name="pages", dialplan=_DIALPLAN, customers=CUSTOMERS, settings=settings, brisk=True, ports=4000, desk=True,
            overrides={"pjsip.conf": phones},
        )  # fmt: skip
        with stage, _answering(stage.pbx, port):
            measured = asyncio.run(measure(stage, ports, agents, calls, seconds))
            if log:
                shutil.copy(stage.pbx.folder / "log" / "desk.jsonl", log)
            return measured
    finally:
        ports.close()


if __name__ == "__main__":
    sys.exit(main())
