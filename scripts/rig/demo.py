"""Four real calls: one is verified and reaches an agent, one is refused, one hangs up in the middle, and one the company makes and proves."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from rig.around import PASSWORDS, Around, around
from rig.calls import Calls, Result
from rig.ear import toned
from rig.keep import CILLA, KEPT_DIALPLAN, PEOPLE, SETTINGS, Kept, kept
from rig.ports import Ports
from rig.proved import CALLS, placed
from rig.stage import CUSTOMERS, PROMPTS, Stage
from rig.state import RigError
from rig.visitor import Visitor
from rig.worker import Worker


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
        ("  text messages", f"files in {stage.outbox}, with the links of Prove it is us"),
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
    async with AsyncExitStack() as stack:
        others = await stack.enter_async_context(around(stage.folder))
        stage.write_config({**others.tables, **CALLS})
        worker = stack.enter_context(stage.worker())
        console.print(f"Asterisk {stage.pbx.version}, Redis and a worker are up.", highlight=False)
        playing = asyncio.create_task(_calls(stage, worker, others, console))
        await asyncio.wait((playing, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            console.print("Ended before the calls were through.")
            return 130
        results, agent = playing.result()
        ok = all(result.ok for result in results)
        if options.json:
            print(json.dumps(_as_json(stage, results, ok), indent=2, ensure_ascii=False), flush=True)
        verdict = "[green]All four calls went as they should." if ok else "[red]Not all calls went as they should."
        console.print(f"\n{verdict}")
        if options.keep:
            console.print("Now the desk: four people are signed up, and two callers stay on the line …")
            # whoever calls in from now on has ears
            stage.pbx.speak("en", PROMPTS / "en" / "tillit")
            async with kept(stage, worker, options.ports, {CILLA.login: agent}) as made:
                how_to_look(made, console)
                how_to_call(stage, console)
                await stopping
                console.print("Ending the calls, the desk, Redis and Asterisk …")
        stopping.cancel()
        return 0 if ok else 1


async def _calls(stage: Stage, worker: Worker, others: Around, console: Console) -> tuple[list[Result], Visitor]:
    """All of them, one after the other; and the agent of the last one."""
    calls = Calls(stage, worker, console)
    results = await calls.run()
    async with placed(stage, others) as place:
        title = "An agent calls a customer, proves who calls, and has them identify"
        return [*results, await calls.play("proved", title, place.play)], place.agent


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
                how: dict[str, Any] = {"dialplan": KEPT_DIALPLAN, "settings": SETTINGS} if options.keep else {}
                options.ports = Ports()
                stack.callback(options.ports.close)
                # whom the company calls is a program: it tells tones apart, and no voice
                stage = Stage(name="demo", desk=True, page=True, sounds=toned(PROMPTS), **how)
                stage.passwords |= PASSWORDS
                stack.enter_context(stage)
            code = asyncio.run(_main(options, stage, console))
    except RigError as error:
        sys.exit(f"scripts/demo: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code)


if __name__ == "__main__":
    main()
