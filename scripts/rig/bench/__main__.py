"""`scripts/bench`: what a call costs, by the plain dialplan, by a published ARI client, and by Tillit; what the proxy adds to a
request; how late the desk's pages are; and how soon they show that a proof was delivered."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from time import monotonic
from typing import Any

from rich.console import Console

from rig.bench import crossing, pages, proofs
from rig.bench.contenders import CONTENDERS, DIALPLAN, ENDPOINT, WHOLE, Crowd
from rig.bench.gateway import Gateway
from rig.bench.measure import Bench, Climb, Growth, Waiting
from rig.bench.report import report
from rig.ports import HOST, Ports
from rig.stage import Stage
from rig.state import RigError, instance_folder

_PARTS = ("calls", "proxy", "pages", "proofs")
# Calls that wait at once, and how many are made to see what grows.
_WAITING, _MANY = 1000, 10_000
_WAITING_RATE = 60
# No slower, or the bench would take longer than 10 minutes.
_MANY_RATE = 42


def main() -> int:
    """Measure, print; 1 where something could not be measured, the proxy adds too much, or the pages are too late."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=_PARTS, help="these alone; else all of them")
    parser.add_argument("--json", action="store_true", help="print one object instead of tables")
    parser.add_argument("--seconds", type=int, default=5, help="how long each rate is held (5)")
    parser.add_argument("--rates", type=int, nargs="+", help="calls a second")
    parser.add_argument("--only", nargs="+", choices=[one.extension for one in CONTENDERS], help="these alone")
    parser.add_argument("--brief", action="store_true", help="the rates alone: no waiting calls, none of 10,000 calls")
    options = parser.parse_args()
    console = Console(stderr=True)
    begun = monotonic()

    def say(text: str) -> None:
        console.print(f"{monotonic() - begun:4.0f} s  {text}", highlight=False)

    # in a file no line is broken
    out = Console(width=None if sys.stdout.isatty() else 110)
    parts: dict[str, object] = {}
    good = True
    try:
        if "calls" in options.parts:
            measured = _calls(options, say)
            parts |= measured
            if not options.json:
                report(out, *measured.values())
        if "proxy" in options.parts:
            say("requests through the proxy …")
            parts["crossings"] = crossings = asyncio.run(crossing.measure(crossing.COUNT))
            if not options.json:
                out.print("\nA request through the proxy\n", crossing.table(crossings), sep="", highlight=False)
            # an object on stdout stays one
            good = crossing.within(crossings, console if options.json else out)
        if "pages" in options.parts:
            say(f"{pages.AGENTS} agents' pages …")
            parts["pages"] = shown = pages.run()
            good = good and shown.good
            if not options.json:
                out.print(f"\nThe desk's pages\n{shown.told}", highlight=False)
        if "proofs" in options.parts:
            say(f"{proofs.COUNT} proofs …")
            parts["proofs"] = proved = proofs.run()
            good = good and proved.good
            if not options.json:
                out.print(f"\nFrom the press to Delivered\n{proved.told}", highlight=False)
    except RigError as error:
        console.print(str(error), highlight=False)
        return 1
    if options.json:
        print(json.dumps(parts, default=asdict))
    return 0 if good else 1


def _calls(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """What `report` takes, by its names."""
    ports = Ports(200)
    chosen = [one for one in CONTENDERS if options.only is None or one.extension in options.only]
    try:
        with Gateway(instance_folder("bench-gateway") / "gateway.log", ports) as gateway:
            stage = Stage(
                name="bench", dialplan=DIALPLAN, overrides={"pjsip.conf": ENDPOINT}, customers=(),
                settings=_settings(gateway), brisk=True, ports=4000,
            )  # fmt: skip
            say("an Asterisk and a Redis …")
            with stage:
                bench = Bench(stage, Crowd(gateway, stage), ports, seconds=options.seconds, say=say)
                climbs = [bench.climb(one, options.rates) for one in chosen]
                waiting, growth = (None, None) if options.brief else _at_length(bench, climbs)
    finally:
        ports.close()
    return {"climbs": climbs, "waiting": waiting, "growth": growth}


def _at_length(bench: Bench, climbs: list[Climb]) -> tuple[Waiting, Growth]:
    highest = [climb.highest.rate for climb in climbs if climb.highest is not None and climb.contender is WHOLE]
    return bench.waiting(_WAITING, _WAITING_RATE), bench.growth(
        _MANY, max(_MANY_RATE, max(highest, default=0) * 4 // 5)
    )


def _settings(gateway: Gateway) -> dict[str, dict[str, object]]:
    """The sample's, with one factor, our gateway, and time for calls that wait."""
    return {
        "policies.main": {"steps": ["sms_code"], "level": 1},
        "keypad": {"first_seconds": 120},
        # it is the machine's limits that are looked for
        "worker": {"calls_at_once": 100_000, "calls_per_second": 10_000, "lag_seconds": 60},
        # one machine stands for many callers, who all have one prefix
        "limits": {f"texts_{of}per_hour": 1_000_000 for of in ("", "country_", "prefix_")},
        "log": {"level": "INFO", "format": "text"},
        "texts": {"gateway": "http"},
        "texts.http": {"url": gateway.url, "allow_private": [HOST]},
        "texts.http.body": {"to": "{to}", "text": "{text}"},
    }


if __name__ == "__main__":
    sys.exit(main())
