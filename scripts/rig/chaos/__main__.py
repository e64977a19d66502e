"""`scripts/chaos`: breaks one part after another under a load of calls, and counts what has become of every caller."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from time import monotonic

from rich.console import Console

from rig.chaos.faults import FAULTS, Fault, House
from rig.chaos.gateway import Gateway
from rig.chaos.ledger import Account, total
from rig.chaos.report import report
from rig.chaos.run import DIALPLAN, ENDPOINT, SHARED, Chaos, Say
from rig.chaos.watch import Marks
from rig.chaos.workers import Pair
from rig.clock import Clock
from rig.disk import Disk
from rig.ports import HOST, Ports
from rig.proxy import Wire
from rig.sentinel import Primary
from rig.stage import Stage, Tables
from rig.state import RigError, instance_folder

_DISK = "48m"


def main() -> int:
    """Strike, print; 1 where a zero is none, a fault did not strike, or nothing could be measured."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    names = [fault.name for fault in FAULTS]
    parser.add_argument("--faults", nargs="+", choices=names, default=names, metavar="FAULT", help=", ".join(names))
    parser.add_argument("--seconds", type=float, default=10, help="how long callers call, for each fault (10)")
    parser.add_argument("--rate", type=float, default=5, help="calls a second (5)")
    parser.add_argument("--share", action="store_true", help="two workers that share the calls (StasisBroadcast)")
    parser.add_argument("--logs", action="store_true", help="keep the logs, also where all is as it should be")
    parser.add_argument("--json", action="store_true", help="print one object instead of a table")
    options = parser.parse_args()
    console = Console(stderr=True)
    begun = monotonic()

    def say(text: str) -> None:
        console.print(f"{monotonic() - begun:4.0f} s  {text}", highlight=False)

    chosen = [fault for fault in FAULTS if fault.name in options.faults]
    accounts: list[Account] = []
    # as Ctrl-C does: the disk must be taken away again
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    audit: list[str] = []
    try:
        for guarded in (False, True):
            faults = [fault for fault in chosen if fault.guarded == guarded]
            if faults:
                primary = Primary() if guarded else None
                load = (options.rate, options.seconds)
                audit.append(_run(faults, accounts, load, say, primary, sharing=options.share, logs=options.logs))
    except RigError as error:
        console.print(str(error), highlight=False)
    except KeyboardInterrupt:
        console.print("ended before its time: this is what was found until then", highlight=False)
    struck = {one.fault for one in accounts}
    skipped = [fault.name for fault in chosen if fault.name not in struck]
    said = "; ".join(audit) or "not asked"
    if options.json:
        found = {"faults": [asdict(one) for one in accounts], "all": asdict(total(accounts)), "audit": said}
        print(json.dumps({**found, "left_out": skipped}))
    else:
        report(Console(width=200) if not sys.stdout.isatty() else Console(), accounts, said, skipped)
    return 0 if accounts and all(one.good for one in accounts) and all(one.startswith("good") for one in audit) else 1


def _run(
    chosen: list[Fault],
    accounts: list[Account],
    load: tuple[float, float],
    say: Say,
    primary: Primary | None,
    *,
    sharing: bool,
    logs: bool,
) -> str:
    """What the audit trail's own command says at the end. `load`: calls a second, and for how many seconds.

    `primary`: a Redis with replicas and sentinels; `sharing`: both workers take calls; `logs`: keep them in any case.
    """
    before = len(accounts)
    with ExitStack() as stack:
        folder = instance_folder("chaos-disk")
        try:
            disk = stack.enter_context(Disk(folder, _DISK))
        except RigError as error:
            say(str(error))
            disk = None
        clock = Clock(stack.enter_context(_folder("chaos-clock")))
        ports = Ports()
        stack.callback(ports.close)
        gateway = stack.enter_context(Gateway(ports))
        stage = Stage(
            name="chaos", dialplan=SHARED + DIALPLAN if sharing else DIALPLAN, overrides={"pjsip.conf": ENDPOINT}, customers=(),
            settings=_settings(gateway, folder / "tillit.db", primary), brisk=True, ports=2000, redis=primary,
        )  # fmt: skip
        stage.database = folder / "tillit.db"
        say(f"an Asterisk, {'a Redis' if primary is None else 'three of Redis, three sentinels'} and two workers …")
        stack.enter_context(stage)
        wire = stack.enter_context(Wire(stage.pbx.http_port))
        pair = stack.enter_context(Pair(stage, wire.port, clock.env, sharing=sharing))
        marks = stack.enter_context(Marks(stage))
        house = House(stage, pair, gateway, wire, disk, clock)
        chaos = Chaos(house, marks, load, say)
        for fault in chosen:
            if disk is not None or not fault.needs_disk:
                accounts.append(chaos.run(fault))
        if logs or not all(one.good for one in accounts[before:]):
            say(f"logs of Asterisk, workers and callers: {_kept(stage)}")
        done = stage.attempt("audit", "verify")
        said = " ".join(done.stdout.split())
        return f"good: {said}" if done.returncode == 0 else f"bad: {said} {done.stderr.strip()}"


@contextmanager
def _folder(name: str) -> Iterator[Path]:
    folder = instance_folder(name)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _kept(stage: Stage) -> Path:
    """Where the logs lie from now on; the stage takes its folder away."""
    kept = instance_folder("chaos-found")
    for name in ("log", "callers"):
        shutil.copytree(stage.pbx.folder / name, kept / name)
    return kept


def _settings(gateway: Gateway, database: Path, primary: Primary | None) -> Tables:
    """The sample's, with limits that are soon reached, and our gateway."""
    guarded: dict[str, object] = {}
    if primary is not None:
        # one of them is dead for a while, and the other must have what was written
        guarded = {"sentinels": [f"{HOST}:{port}" for port in primary.guarded.sentinels], "replicas": 1}
    return {
        "asterisk": {"request_seconds": 2.0},
        "redis": {"request_seconds": 1.0, **guarded},
        "database": {"url": f"sqlite:///{database}", "request_seconds": 3.0},
        "keypad": {"first_seconds": 5, "slips": 2},
        "steps.pin": {"scrypt_p": 1},
        "limits": {
            "all": 100_000,
            "texts_per_hour": 100_000,
            "texts_country_per_hour": 100_000,
            "texts_prefix_per_hour": 100_000,
        },
        "log": {"level": "INFO", "format": "json"},
        "texts": {"gateway": "http", "seconds": 4.0},
        "texts.http": {"url": gateway.url, "allow_private": [HOST]},
        "texts.http.body": {"to": "{to}", "text": "{text}"},
    }


if __name__ == "__main__":
    sys.exit(main())
