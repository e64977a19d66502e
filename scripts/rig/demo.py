"""Three real calls: one is verified and reaches an agent, one is refused, one hangs up in the middle."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from rig.keep import KEPT_DIALPLAN, PEOPLE, SETTINGS, Kept, kept
from rig.phone import Event, Phone
from rig.ports import Ports
from rig.stage import ANNA, BO, CECILIA, CUSTOMERS, Customer, Stage, code_in
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


class Demo:
    """The stage with a worker, and the phones of everybody in it."""

    def __init__(self, stage: Stage, worker: Worker, console: Console) -> None:
        self.stage = stage
        self.worker = worker
        self.console = console

    async def run(self) -> list[Result]:
        """The three calls, one after the other."""
        return [
            await self._call("verified", "A caller keys the PIN and the code from the text", self._verified),
            await self._call("refused", "A caller keys a wrong PIN three times", self._refused),
            await self._call("hung_up", "A caller hangs up in the middle", self._hung_up),
        ]

    async def _call(self, name: str, title: str, play: Callable[[Timeline, Result], Awaitable[None]]) -> Result:
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
        verified, refused = timeline.find("call.verified"), timeline.find("call.refused")
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


def how_to_look(made: Kept, console: Console) -> None:
    """The links with which somebody looks at the desk."""
    console.print("\n[bold]The desk is up. Open one of these in a browser here; each link works once:[/bold]")
    console.print("(a browser is one person at a time; a private window is another browser)")
    for one in PEOPLE:
        console.print(f"  {one.name}, {one.role}: sees {one.sees}", highlight=False, soft_wrap=True)
        console.print(f"    {made.links[one.login]}", highlight=False, soft_wrap=True)
    console.print(f"Or sign in at {made.desk_url}, with the code of an authenticator app:", highlight=False)
    table = Table("user name", "password", "key for the app", box=None, pad_edge=False)
    for visitor in made.visitors.values():
        table.add_row(visitor.login, visitor.password, visitor.key)
    console.print(table, highlight=False)


def how_to_call(stage: Stage, console: Console) -> None:
    """What somebody needs to call in with a softphone of their own."""
    pbx = stage.pbx
    console.print("\n[bold]Everything stays up. Call in with a softphone on this machine:[/bold]")
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    # to be copied: a path may break over two lines, and is never cut
    table.add_column(overflow="fold")
    for name, value in (
        ("  SIP server", f"127.0.0.1:{pbx.sip_port} (UDP)"),
        (
            "  as a caller",
            f"user caller, password {pbx.sip_password}; dial 100 (queue) or 200 (agents called by Tillit)",
        ),
        ("  as an agent", "user agent1, the same password; agent2 and agent3 are in the calls that stay"),
        ("  text messages", f"files in {stage.outbox}"),
        ("  worker's log", str(stage.worker_log)),
        ("  settings", str(stage.config)),
    ):
        table.add_row(name, value)
    console.print(table, highlight=False)
    people = Table("customer number", "name", "PIN", "phones", box=None, pad_edge=False)
    for customer in CUSTOMERS:
        people.add_row(customer.number, customer.name, customer.pin, customer.phones.replace(";", ", "))
    console.print(people, highlight=False)
    console.print("Ctrl-C ends it.")


async def _main(options: argparse.Namespace, stage: Stage, console: Console) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopping = asyncio.create_task(stop.wait())
    with stage.worker() as worker:
        console.print(f"Asterisk {stage.pbx.version}, Redis and a worker are up.", highlight=False)
        playing = asyncio.create_task(Demo(stage, worker, console).run())
        await asyncio.wait((playing, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            console.print("Ended before the calls were through.")
            return 130
        results = playing.result()
        ok = all(result.ok for result in results)
        if options.json:
            print(json.dumps(_as_json(stage, results, ok), indent=2, ensure_ascii=False), flush=True)
        verdict = "[green]All three calls went as they should." if ok else "[red]Not all calls went as they should."
        console.print(f"\n{verdict}")
        if options.keep:
            console.print("Now the desk: four people are signed up, and two callers stay on the line …")
            async with kept(stage, worker, options.ports) as made:
                how_to_look(made, console)
                how_to_call(stage, console)
                await stopping
                console.print("Ending the calls, the desk, Redis and Asterisk …")
        stopping.cancel()
        return 0 if ok else 1


def _as_json(stage: Stage, results: list[Result], ok: bool) -> dict[str, Any]:
    return {
        "asterisk": stage.pbx.version,
        "ok": ok,
        "calls": [{**asdict(result), "ok": result.ok} for result in results],
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the timeline")
    parser.add_argument(
        "--keep", action="store_true", help="leave everything running, with the desk and two calls on it, until Ctrl-C"
    )
    options = parser.parse_args()
    console = Console(stderr=options.json, quiet=options.json and not options.keep)
    # SIGTERM ends it like Ctrl-C does, also while things are being started
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with contextlib.ExitStack() as stack:
            with console.status("Starting Asterisk and Redis …"):
                how: dict[str, Any] = (
                    {"desk": True, "dialplan": KEPT_DIALPLAN, "settings": SETTINGS} if options.keep else {}
                )
                options.ports = Ports()
                stack.callback(options.ports.close)
                stage = stack.enter_context(Stage(name="demo", **how))
            code = asyncio.run(_main(options, stage, console))
    except RigError as error:
        sys.exit(f"scripts/demo: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code)


if __name__ == "__main__":
    main()
