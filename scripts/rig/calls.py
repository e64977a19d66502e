"""The demo's calls to the company: one is verified and reaches an agent, one is refused, one hangs up in the middle."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from rich.console import Console

from rig.phone import Event, Phone
from rig.stage import ANNA, BO, CECILIA, Customer, Stage, code_in
from rig.state import RigError
from rig.timeline import Timeline, seconds_of
from rig.worker import Worker

# What an agent's phone shows of an INVITE that matters here.
_HEADERS = ("From", "X-Caller-Auth")


@dataclass
class Result:
    """What became of one call, as `--json` prints it. `level` is 0 where the caller was not verified."""

    call: str
    outcome: str = ""
    level: int = 0
    steps: list[dict[str, str]] = field(default_factory=list)
    agent_invite: dict[str, str] | None = None
    last_key_to_invite_ms: float | None = None
    faults: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the call went as it should."""
        return not self.faults

    def expect(self, what: str, holds: bool) -> None:
        """Note what should have been, where it is not."""
        if not holds:
            self.faults.append(what)


class Calls:
    """The stage with a worker, and the phones of everybody in it."""

    def __init__(self, stage: Stage, worker: Worker, console: Console) -> None:
        self.stage = stage
        self.worker = worker
        self.console = console

    async def run(self) -> list[Result]:
        """The calls to the company, one after the other."""
        return [
            await self.play("verified", "A caller keys the PIN and the code from the text", self._verified),
            await self.play("refused", "A caller keys a wrong PIN three times", self._refused),
            await self.play("hung_up", "A caller hangs up in the middle", self._hung_up),
        ]

    async def play(self, name: str, title: str, play: Callable[[Timeline, Result], Awaitable[None]]) -> Result:
        """One call, told as it happens, to its end."""
        self.console.print(f"\n[bold]{title}[/bold]")
        result = Result(name)
        timeline = Timeline(self.worker.log_file, self._show)
        following = asyncio.create_task(timeline.follow())
        try:
            await play(timeline, result)
            await timeline.until("call.ended")
            await asyncio.to_thread(self.stage.pbx.wait_idle)
        except (TimeoutError, RigError) as error:
            result.faults.append(str(error))
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        self._sum_up(timeline, result)
        for fault in result.faults:
            self.console.print(f"  [red]not as it should be: {fault}[/red]")
        return result

    async def _verified(self, timeline: Timeline, result: Result) -> None:
        async with self._phones("agent1") as (caller, agent):
            await self._dial(timeline, caller, "200", ANNA)
            await timeline.until("entry.asked", entry="pin")
            await caller.hears(seconds=1.0)
            timeline.say("caller", "hears the prompt, and keys the PIN over it")
            await caller.send_digits(f"{ANNA.pin}#")
            await timeline.until("entry.asked", entry="sms_code")
            text = await asyncio.to_thread(self.stage.wait_text, ANNA.phones)
            timeline.say("text", text.replace(code_in(text), "••••••"))
            timeline.say("caller", "keys the six digits")
            await caller.send_digits(code_in(text))
            invite = await agent.incoming()
            self._invited(timeline, result, "agent", invite)
            await agent.answer()
            await agent.play_tone(700)
            await caller.play_tone(1100)
            await caller.hears(700)
            await agent.hears(1100)
            timeline.say("agent", "talks with the caller: both hear each other")
            await caller.hang_up()
            await agent.until("disconnected")
        header = result.agent_invite and result.agent_invite.get("X-Caller-Auth", "")
        result.expect("the agent's INVITE says verified", bool(header and header.startswith("verified; level=2;")))
        result.expect("the agent's phone shows ✔ Anna A.", invite["name"] == "✔ Anna A.")
        await timeline.until("call.ended")
        self._sum_up(timeline, result)
        result.expect("the caller is verified at level 2", (result.outcome, result.level) == ("verified", 2))

    async def _refused(self, timeline: Timeline, result: Result) -> None:
        async with self._phones("agent3") as (caller, desk):
            await self._dial(timeline, caller, "100", BO)
            for count in (1, 2, 3):
                await timeline.until("entry.asked", count, entry="pin")
                await caller.send_digits("1111#")
            await timeline.until("call.refused")
            timeline.say("caller", "hears that nobody can see or change anything in this call")
            invite = await desk.incoming(timeout=30)
            self._invited(timeline, result, "front desk", invite)
            await desk.answer()
            await caller.hang_up()
            await desk.until("disconnected")
        headers = result.agent_invite or {}
        result.expect("the front desk's INVITE says nothing of a mark", "X-Caller-Auth" not in headers)
        result.expect("the front desk's phone shows no ✔", "✔" not in invite["name"])
        self._sum_up(timeline, result)
        result.expect("the caller is refused", (result.outcome, result.level) == ("refused", 0))
        result.expect("no text went out", not self.stage.texts(BO.phones))

    async def _hung_up(self, timeline: Timeline, result: Result) -> None:
        async with self._phones() as (caller,):
            await self._dial(timeline, caller, "100", CECILIA)
            await timeline.until("entry.asked", entry="pin")
            await caller.send_digits(CECILIA.pin[:2])
            timeline.say("caller", "hangs up after two digits")
            await caller.hang_up()
        await timeline.until("call.ended")
        self._sum_up(timeline, result)
        result.expect("the call counts as abandoned", (result.outcome, result.level) == ("abandoned", 0))

    @asynccontextmanager
    async def _phones(self, *agents: str) -> AsyncIterator[tuple[Phone, ...]]:
        async with AsyncExitStack() as stack:
            yield tuple(
                [
                    await stack.enter_async_context(Phone(self.stage.pbx.line(endpoint)))
                    for endpoint in ("caller", *agents)
                ]
            )

    async def _dial(self, timeline: Timeline, caller: Phone, extension: str, who: Customer) -> None:
        timeline.say("caller", f"dials {extension}")
        await caller.call(extension, number=who.phones.split(";")[0])
        await caller.until("confirmed")

    def _invited(self, timeline: Timeline, result: Result, who: str, invite: Event) -> None:
        result.agent_invite = {name: value for name in _HEADERS if (value := invite.header(name)) is not None}
        timeline.catch_up()
        keys = timeline.find("entry.key")
        if keys:
            result.last_key_to_invite_ms = round(1000 * (invite.at - seconds_of(keys[-1])), 1)
        timeline.say(who, f"phone rings: {invite['name'] or 'no name'}", invite.at)
        timeline.say(who, f"X-Caller-Auth: {invite.header('X-Caller-Auth') or '(none)'}", invite.at)

    def _sum_up(self, timeline: Timeline, result: Result) -> None:
        timeline.catch_up()
        result.steps = [{"step": line["step"], "outcome": line["outcome"]} for line in timeline.find("step.ended")]
        verified, refused = (timeline.find("call.verified"), timeline.find("call.refused"))
        if verified:
            result.outcome, result.level = "verified", verified[0]["assurance"]
        elif refused:
            result.outcome = refused[0]["status"]
        elif timeline.find("call.hung_up"):
            result.outcome = "abandoned"

    def _show(self, seconds: float, who: str, what: str) -> None:
        colour = {"tillit": "cyan", "caller": "green", "text": "magenta"}.get(who, "yellow")
        bold = "bold " if what.startswith(("VERIFIED", "REFUSED")) else ""
        first, *more = textwrap.wrap(what, 90)
        self.console.print(f"  {seconds:6.2f} s  [{colour}]{who:<10}[/{colour}] ", end="", highlight=False)
        for part in (first, *(" " * 23 + line for line in more)):
            self.console.print(part, style=bold.strip() or None, markup=False, highlight=False, soft_wrap=True)
