"""A call's life: the log's lines, what it waited for between them, and its rows of the audit trail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ivr.cli.told import Line, plain, words

# What a call waits for behind each of these lines, until the next of them. What comes before the first is our own.
_OURS = "Tillit"
_WAITS: Mapping[str, str] = {
    "entry.asked": "the caller",
    "entry.ended": _OURS,
    "entry.interrupted": _OURS,
    "agent.ringing": "an agent",
    "agent.missed": _OURS,
    "agent.answered": _OURS,
    "agent.joined": "the conversation",
    "agent.left": _OURS,
    "call.handed_back": "the dialplan",
    "call.hung_up": _OURS,
    "mark.dropped": _OURS,
    "call.refused": "a prompt",
    "call.verified": "a prompt",
    "call.started": _OURS,
}
# Shorter waits are nobody's concern, in seconds.
_SHOWN = 0.05
_WIDE = 1000


@dataclass(frozen=True, slots=True)
class Moment:
    """A line, or an audit row: seconds since the call began, what it says, how long until the next, and for what."""

    at: float
    says: str
    waits: float
    waits_for: str
    level: str
    line: Mapping[str, Any]


@dataclass(slots=True)
class Life:
    """A call at one node, from the first line to the last. `began` is UTC."""

    call: str
    place: str
    began: datetime
    moments: list[Moment] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """From the first line to the last."""
        return self.moments[-1].at

    @property
    def steps(self) -> list[dict[str, object]]:
        """Each step that ended: how, and after how many seconds."""
        ended = [moment.line for moment in self.moments if moment.line.get("event") == "step.ended"]
        return [{name: line.get(name) for name in ("step", "outcome", "why", "seconds")} for line in ended]

    @property
    def waited(self) -> dict[str, float]:
        """Seconds by what was waited for, the longest first."""
        sums: dict[str, float] = {}
        for moment in self.moments:
            sums[moment.waits_for] = sums.get(moment.waits_for, 0.0) + moment.waits
        ordered = sorted(sums.items(), key=lambda pair: -pair[1])
        return {name: round(seconds, 3) for name, seconds in ordered if seconds >= 0.005}

    @property
    def outcome(self) -> str:
        """The latest of what was said of it."""
        for moment in reversed(self.moments):
            if moment.line.get("event") == "call.verified":
                return "verified"
            if moment.line.get("event") in ("call.refused", "call.hung_up") and moment.line.get("status"):
                return str(moment.line["status"])
        return ""


def lives(call: str, lines: Iterable[Line], rows: Sequence[Mapping[str, Any]]) -> Iterator[Life]:
    """What became of the call on each node that had one of this name."""
    by_place: dict[str, list[Line]] = {}
    for line in lines:
        by_place.setdefault(str(line.get("place", "")), []).append(line)
    # AGI, and a row that is written late, know of no node: such a line may be of either
    unplaced = by_place.pop("", []) if len(by_place) > 1 else []
    for place, own in by_place.items():
        own += unplaced
        # several workers may have had it, each with a log of its own
        own.sort(key=_when)
        nodes = len(by_place)
        yield _life(call, place, own, rows if nodes == 1 else ())


def _life(call: str, place: str, lines: Sequence[Line], rows: Sequence[Mapping[str, Any]]) -> Life:
    events = [(_when(line), words(line), str(line["level"]), line) for line in lines]
    events += [(_when(row), _row(row), "audit", dict(row)) for row in rows]
    # where two have one time, the row was written first
    events.sort(key=lambda event: (event[0], event[2] != "audit"))
    life = Life(call, place, events[0][0])
    waits_for = _OURS
    for number, (at, says, level, line) in enumerate(events):
        waits_for = _WAITS.get(str(line.get("event")), waits_for)
        until = events[number + 1][0] if number + 1 < len(events) else at
        life.moments.append(
            Moment((at - life.began).total_seconds(), says, (until - at).total_seconds(), waits_for, level, line)
        )
    return life


def _when(line: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(str(line["at"]))


def _row(row: Mapping[str, Any]) -> str:
    detail = orjson.loads(row["detail"]) if row["detail"] else {}
    told = ", ".join(f"{name} {value}" for name, value in sorted(detail.items()) if value not in ("", "0"))
    return plain(
        f"audit {row['chain']}/{row['seq']}: {row['action']} {row['outcome']}" + (f" ({told})" if told else "")
    )


# ---------------------------------------------------------------- showing it


def as_dict(life: Life) -> dict[str, object]:
    """All of it, for JSON."""
    return {
        "call": life.call,
        "place": life.place,
        "began": life.began.isoformat(),
        "seconds": life.seconds,
        "outcome": life.outcome,
        "steps": life.steps,
        "waited": life.waited,
        "timeline": [
            {
                "seconds": moment.at,
                "says": moment.says,
                "waits": moment.waits,
                "waits_for": moment.waits_for,
                "audit" if moment.level == "audit" else "line": moment.line,
            }
            for moment in life.moments
        ],
    }


_STYLES = {"warning": "yellow", "error": "bold red", "debug": "dim", "audit": "cyan"}


def show(life: Life) -> None:
    """Print it for people."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE
    where = f" at {life.place}" if life.place else ""
    head = f"Call {life.call}{where}, {life.began:%Y-%m-%d %H:%M:%S} UTC: {life.outcome or 'not decided'}, {life.seconds:.1f} s"
    console.print(Text(plain(head), style="bold"))
    table = Table(box=None, pad_edge=False)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("what", overflow="fold")
    table.add_column("then waits", justify="right", no_wrap=True)
    table.add_column("for", no_wrap=True)
    for moment in life.moments:
        shown = moment.waits >= _SHOWN
        table.add_row(
            f"{moment.at:.3f}",
            Text(moment.says, style=_STYLES.get(moment.level, "")),
            f"{moment.waits:.2f}" if shown else "",
            Text(moment.waits_for if shown else "", style="dim"),
        )
    console.print(table)
    for step in life.steps:
        why = f" ({step['why']})" if step["why"] else ""
        took = f", {step['seconds']} s" if step["seconds"] is not None else ""
        console.print(Text(plain(f"step {step['step']}: {step['outcome']}{why}{took}")))
    console.print(Text("waited: " + ", ".join(f"{seconds:.2f} s for {name}" for name, seconds in life.waited.items())))
