"""The bench's tables."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from rig.bench.measure import Climb, Growth, Waiting

# The rate at which CPU is compared, in calls a second.
_COMPARED = 100

_LEGEND = f"""
calls/s     the highest rate without a failed call and with the 99th under 100 ms
worker, Asterisk     ms of CPU a call, at {_COMPARED} calls/s where that was reached
median, 99th     ms from the end of the last key to the next prompt or BYE, at the same rate
99th, half     the same at half of the highest rate
Redis     round trips a call"""


def report(console: Console, climbs: list[Climb], waiting: Waiting | None, growth: Growth | None) -> None:
    """Print what was measured: a line a contender, then a line a rate."""
    console.print(_summary(climbs))
    console.print(_LEGEND, highlight=False)
    console.print()
    console.print(_rates(climbs))
    if waiting is not None:
        console.print(
            f"\nA call that waits for keys ({waiting.calls} at once): {waiting.worker_kib:.1f} KiB in the worker; in Asterisk "
            f"{waiting.asterisk_kib:.0f} KiB, {waiting.threads:.1f} threads, {waiting.descriptors:.1f} descriptors",
            highlight=False,
        )
    if growth is not None:
        console.print(f"\n{growth.calls} calls of the whole policy, {growth.failed} failed; then", highlight=False)
        console.print(_growth(growth))


def _summary(climbs: list[Climb]) -> Table:
    made = Table("", "calls/s", "worker", "Asterisk", "median", "99th", "99th, half", "Redis", box=None)
    for climb in climbs:
        highest = climb.highest
        compared = climb.at(_COMPARED) or highest
        half = climb.at(highest.rate / 2) if highest else None
        if highest is None or compared is None or half is None:
            made.add_row(climb.contender.name, "none")
            continue
        made.add_row(
            climb.contender.name + ("" if compared.rate == _COMPARED else f", {compared.rate}/s"), f"{highest.rate}",
            f"{compared.application_ms:.1f}", f"{compared.asterisk_ms:.1f}", f"{compared.quantile(0.5):.1f}",
            f"{compared.quantile(0.99):.0f}", f"{half.quantile(0.99):.0f}",
            "" if climb.round_trips is None else f"{climb.round_trips:.1f}",
        )  # fmt: skip
    return made


def _rates(climbs: list[Climb]) -> Table:
    made = Table("who", "calls/s", "failed", "median ms", "99th ms", "CPU ms: worker", "Asterisk", box=None)
    for climb in climbs:
        for result in climb.results:
            made.add_row(
                climb.contender.name, f"{result.rate}", f"{result.failed}", f"{result.quantile(0.5):.1f}",
                f"{result.quantile(0.99):.1f}", f"{result.application_ms:.2f}", f"{result.asterisk_ms:.2f}",
            )  # fmt: skip
    return made


def _growth(growth: Growth) -> Table:
    made = Table("calls", "worker KiB", "threads", "descriptors", "Asterisk KiB", "threads", "descriptors", box=None)
    part = growth.calls // len(growth.worker)
    for count, (worker, asterisk) in enumerate(zip(growth.worker, growth.asterisk, strict=True), 1):
        made.add_row(
            f"{count * part}", f"{worker.kib}", f"{worker.threads}", f"{worker.descriptors}",
            f"{asterisk.kib}", f"{asterisk.threads}", f"{asterisk.descriptors}",
        )  # fmt: skip
    return made
