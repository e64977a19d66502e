"""What `scripts/demo --keep` leaves running: the desk, people who sign in by a link, and calls that stay."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rig.phone import Phone
from rig.ports import Ports
from rig.stage import CECILIA, DAVID, DIALPLAN, Customer, Stage, code_in
from rig.state import RigError
from rig.visitor import Handing, Visitor, handing
from rig.worker import Worker

VERIFIED, WAITING = "801", "802"

KEPT_DIALPLAN = f"""{DIALPLAN}
; the calls that stay: one is verified first, one is not
[callers](+)
exten => {VERIFIED},1,Gosub(tillit-verify,s,1(main))
 same => n,Dial(PJSIP/agent2,30,b(tillit-badge^s^1))
exten => {WAITING},1,Answer()
 same => n,Dial(PJSIP/agent3,30,b(tillit-badge^s^1))
"""
SETTINGS = {"desk": {"idle_minutes": 480}}
"""Nobody who looks around is signed out."""

_POLL = 0.05
# As a person keys: slowly enough to be seen on the page.
_PAUSE, _ON, _OFF = 1.5, 120, 380


@dataclass(frozen=True)
class Somebody:
    """A person of the demo, and what that person sees."""

    login: str
    name: str
    role: str
    phone: str
    sees: str


CILLA = Somebody("cilla", "Cilla Cato", "agent", "agent1", "whom you call from a softphone, if you answer as agent1")
PEOPLE = (
    Somebody("agda", "Agda Alm", "agent", "agent2", "a verified caller: open the record"),
    Somebody(
        "bror", "Bror Berg", "agent", "agent3", "a caller who is not verified: press Verify now, and the caller keys"
    ),
    CILLA,
    Somebody("siv", "Siv Sander", "supervisor", "", "the team"),
)


@dataclass
class Kept:
    """All of it. `links` by login; each is good once."""

    desk_url: str
    visitors: dict[str, Visitor]
    handing: Handing
    links: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def kept(stage: Stage, worker: Worker, ports: Ports, known: Mapping[str, Visitor]) -> AsyncIterator[Kept]:
    """Until the block is left; `known`: who is signed up already."""
    async with AsyncExitStack() as stack:
        desk, page = stage.desk(), stage.page()
        for process in (desk, page):
            await asyncio.to_thread(process.start)
            stack.callback(process.stop)
        served = await stack.enter_async_context(handing(ports.take()))
        made = Kept(desk.url, {}, served)
        new = [one for one in PEOPLE if one.login not in known]
        visitors = await asyncio.gather(*(signed_up(stage, desk.url, one) for one in new))
        everybody = {**known, **{one.login: visitor for one, visitor in zip(new, visitors, strict=True)}}
        for one in PEOPLE:
            made.visitors[one.login], made.links[one.login] = (everybody[one.login], served.link(everybody[one.login]))
        keying = _Keying(stage, worker)
        stack.push_async_callback(keying.close)
        # two who were sent no text a moment ago: a further one is not sent within a minute
        await keying.call(stack, DAVID, VERIFIED, "agent2")
        await keying.call(stack, CECILIA, WAITING, "agent3")
        yield made


async def signed_up(stage: Stage, url: str, one: Somebody) -> Visitor:
    """Added by an administrator, and enrolled at the desk at this address."""
    phone = ("--endpoint", f"PJSIP/{one.phone}") if one.phone else ()
    words = ("agent", "add", one.login, "--name", one.name, "--role", one.role, *phone)
    told = await asyncio.to_thread(stage.command, *words)
    visitor = Visitor(url, one.login)
    await visitor.enrol(told.splitlines()[-1])
    return visitor


class _Keying:
    """Callers who stay on the line, play music, and key whatever they are asked for, however often."""

    def __init__(self, stage: Stage, worker: Worker) -> None:
        self._stage = stage
        self._worker = worker
        self._callers: dict[str, tuple[Phone, Customer]] = {}
        self._following = asyncio.create_task(self._follow(worker.log_file.stat().st_size))

    async def close(self) -> None:
        """Key nothing more."""
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)

    async def call(self, stack: AsyncExitStack, who: Customer, extension: str, agent: str) -> None:
        """A call of this customer's to this agent, who answers."""
        caller, answering = [
            await stack.enter_async_context(Phone(self._stage.pbx.line(endpoint), recorded=False))
            for endpoint in ("caller", agent)
        ]
        number = who.phones.split(";")[0]
        await caller.call(extension, number=number)
        await caller.until("confirmed")
        self._callers[await self._channel(number)] = caller, who
        await answering.incoming(timeout=60)
        await answering.answer()
        if (music := self._music()) is not None:
            await caller.play(music, loop=True)

    async def _channel(self, number: str) -> str:
        """The unique id of the caller with this number."""
        lines = await asyncio.to_thread(self._stage.pbx.cli, "core show channels concise")
        for line in lines.splitlines():
            parts = line.split("!")
            if parts[0].startswith("PJSIP/caller-") and number in parts:
                return parts[-1]
        raise RigError(f"no caller with {number} in Asterisk:\n{lines}")

    def _music(self) -> Path | None:
        """An Asterisk of the machine's own may have none."""
        return next(iter(sorted((self._stage.pbx.folder / "data" / "moh").glob("*.wav"))), None)

    async def _follow(self, position: int) -> None:
        while True:
            with self._worker.log_file.open("rb") as opened:
                opened.seek(position)
                whole, _, _ = opened.read().rpartition(b"\n")
            position += len(whole) + bool(whole)
            for text in whole.splitlines():
                line = json.loads(text)
                if line.get("event") == "entry.asked":
                    # a caller who hangs up, or whose phone is gone, keys nothing: the others do
                    with contextlib.suppress(RigError, TimeoutError):
                        await self._key(line)
            await asyncio.sleep(_POLL)

    async def _key(self, line: dict[str, str]) -> None:
        async with asyncio.timeout(10):
            # it may be asked for before it is known here whose call that is
            while (known := self._callers.get(line["call"])) is None and len(self._callers) < 2:
                await asyncio.sleep(_POLL)
        if known is None:
            return
        caller, who = known
        to = who.phones.split(";")[0]
        if line["entry"] == "pin":
            keys = f"{who.pin}#"
        else:
            texts = await asyncio.to_thread(self._texted, to)
            keys = code_in(texts)
        await asyncio.sleep(_PAUSE)
        await caller.send_digits(keys, on=_ON, off=_OFF)

    def _texted(self, to: str) -> str:
        """The latest text; it is handed over before its code is asked for."""
        self._stage.wait_text(to)
        return self._stage.texts(to)[-1]
