"""`python -m rig.bench.proofs`: from the press of "Prove it is us" to "Delivered" on the agent's page, on a real call; the gateway's own time apart."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from ivr.config import load
from ivr.database import Database
from ivr.secret import Personal
from ivr.staff import TENANT, Role, SignedIn
from ivr.store.live import RedisLive
from ivr.store.roster import NewPerson, Roster
from ivr.vault import Vault
from rig.phone import Phone
from rig.ports import HOST, Ports
from rig.stage import ANNA, Stage
from rig.state import RigError

COUNT = 50
"""As many as one customer may get in an hour, by the most that the settings allow, leave room for this."""
AIM = 300.0
"""Milliseconds over the gateway's own time, at the 99th: more is a failure."""
# Seconds behind its answer after which the gateway reports; networks take some.
_REPORTS = 0.05
# What is not shown in so long is not shown.
_LIMIT = 20.0
_WARM = 3

_DIALPLAN = """
[callers]
exten => 300,1,Answer()
 same => n,Dial(PJSIP/agent1,30)
[agents]
exten => _X.,1,Congestion()
"""
_PASSWORD = "a gateway's password"


@dataclass
class Gateway:
    """46elks, as it is published: it takes a text, and reports a while later that it was delivered."""

    own: list[float] = field(default_factory=list)
    """Seconds from each text to its report."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def take(self, request: web.Request) -> web.Response:
        """https://46elks.com/docs/send-sms"""
        came = time.monotonic()
        fields = await request.post()
        name = f"s{secrets.token_hex(15)}"
        task = asyncio.create_task(self._report(came, str(fields["whendelivered"]), name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return web.json_response({"id": name, "status": "created", "parts": 1, "to": str(fields["to"])})

    async def _report(self, came: float, address: str, name: str) -> None:
        await asyncio.sleep(_REPORTS)
        async with aiohttp.ClientSession() as session:
            self.own.append(time.monotonic() - came)
            async with session.post(address, data={"id": name, "status": "delivered"}) as answer:
                await answer.read()


class Shown:
    """What the agent's page shows of the one call."""

    def __init__(self) -> None:
        self._call: dict[str, Any] = {}
        self._at = 0.0
        self._news = asyncio.Event()

    async def follow(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Read the page's websocket until cancelled."""
        async for message in socket:
            calls = json.loads(message.data)["calls"]
            self._at, self._call = time.monotonic(), calls[0] if calls else {}
            self._news.set()

    async def until(self, what: Callable[[dict[str, Any]], bool], told: str) -> tuple[dict[str, Any], float]:
        """The call as soon as it is so, and since when."""
        try:
            async with asyncio.timeout(_LIMIT):
                while not self._call or not what(self._call):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise RigError(f"the agent's page does not show {told}: {self._call}") from None
        return self._call, self._at


@dataclass(frozen=True)
class Measured:
    """Milliseconds, sorted: in all, and over the gateway's own time."""

    whole: list[float]
    over: list[float]

    @property
    def good(self) -> bool:
        """Whether the aim is met."""
        return self.late <= AIM

    @property
    def late(self) -> float:
        """The 99th."""
        return self.over[len(self.over) * 99 // 100]

    @property
    def told(self) -> str:
        middle = len(self.over) // 2
        return (
            f'{len(self.over)} proofs: from the press to "Delivered" {self.whole[middle]:.0f} ms at the median; over the gateway\'s own time '
            f"{self.over[middle]:.0f} ms at the median, {self.late:.0f} ms at the 99th, longest {self.over[-1]:.0f} ms"
        )


async def measure(stage: Stage, gateway: Gateway, count: int) -> Measured:
    """One agent who talks with one customer, and presses again and again."""
    async with AsyncExitStack() as stack:
        cookie, csrf = await _signed_in(stage)
        desk, page = stage.desk(), stage.page()
        for process in (desk, page):
            await asyncio.to_thread(process.start)
            stack.callback(process.stop)
        agent = await stack.enter_async_context(Phone(stage.pbx.line("agent1")))
        caller = await stack.enter_async_context(Phone(stage.pbx.line("caller")))
        await caller.call("300", number=ANNA.phones)
        await agent.incoming()
        await agent.answer()
        await caller.until("confirmed")
        headers = {"Origin": desk.url, "Cookie": f"__Host-desk={cookie}", "CSRF-Token": csrf}
        browser = await stack.enter_async_context(
            aiohttp.ClientSession(headers=headers, cookie_jar=aiohttp.DummyCookieJar())
        )
        socket = await stack.enter_async_context(browser.ws_connect(f"{desk.url}/live"))
        shown = Shown()
        following = asyncio.create_task(shown.follow(socket))
        stack.callback(following.cancel)
        whole, over = list[float](), list[float]()
        for number in range(_WARM + count):
            call, _ = await shown.until(lambda call: call["provable"], "the button")
            path = f"{desk.url}/api/v1/calls/{call['id']}/proof"
            began = time.monotonic()
            async with browser.post(path, json={"way": "text", "about": "invoice"}) as answer:
                if answer.status != 202:
                    raise RigError(f"a press is answered {answer.status}: {await answer.text()}")
            _, at = await shown.until(lambda call: call["proof"]["stage"] == "delivered", "that it was delivered")
            if number >= _WARM:
                whole.append((at - began) * 1000)
                over.append((at - began - gateway.own[-1]) * 1000)
            async with browser.delete(path) as answer:
                if answer.status != 204:
                    raise RigError(f"it is not taken back: {answer.status}")
        await caller.hang_up()
        return Measured(sorted(whole), sorted(over))


async def _signed_in(stage: Stage) -> tuple[str, str]:
    """An agent's cookie and token; signing in itself is no part of this."""
    settings = load(stage.config)
    vault = Vault.open(settings)
    live = await RedisLive.open(settings)
    try:
        async with await Database.open(settings) as database, database.write() as connection:
            new = NewPerson(TENANT, "agda", Personal("Agda Alm"), Role.AGENT, "", ("PJSIP/agent1",))
            person = await Roster(vault).add(connection, new)
        begun = await live.sessions(settings.desk).begin(SignedIn(person, None, time.time_ns() // 1000))
        if not isinstance(begun, tuple):
            raise RigError("the agent is not signed in")
        return begun[0].reveal(), begun[1].csrf.reveal()
    finally:
        await live.close()
        vault.close()


async def _run(count: int) -> Measured:
    ports = Ports()
    gateway = Gateway()
    app = web.Application()
    app.router.add_post("/a1/sms", gateway.take)
    runner = web.AppRunner(app)
    try:
        await runner.setup()
        port = ports.take()
        await web.TCPSite(runner, HOST, port).start()
        stage = Stage(
            name="proofs", dialplan=_DIALPLAN, customers=(ANNA,), brisk=True, desk=True, page=True,
            settings={
                "log": {"level": "INFO", "format": "json"},
                "prove": {"per_customer_hour": 60},
                # all reports come from one address
                "page": {"per_address_minute": 100_000},
                "texts": {"gateway": "46elks"},
                "texts.46elks": {
                    "username": "u1", "password_file": "elks.password", "sender": "Example", "url": f"http://{HOST}:{port}/a1",
                    "allow_private": [HOST],
                },
            },
        )  # fmt: skip
        stage.passwords["elks.password"] = _PASSWORD
        await asyncio.to_thread(stage.__enter__)
        try:
            return await measure(stage, gateway, count)
        finally:
            await asyncio.to_thread(stage.close)
    finally:
        await runner.cleanup()
        ports.close()


def run(count: int = COUNT) -> Measured:
    """The whole of it, on an Asterisk of its own. Raises `RigError`."""
    return asyncio.run(_run(count))


def main() -> int:
    """Measure, and print; 1 where the page is too late."""
    parser = argparse.ArgumentParser(prog="rig.bench.proofs", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help=f"proofs ({COUNT})")
    options = parser.parse_args()
    try:
        measured = run(options.count)
    except RigError as error:
        print(error)
        return 1
    print(measured.told)
    return 0 if measured.good else 1


if __name__ == "__main__":
    sys.exit(main())
