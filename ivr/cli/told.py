"""The worker's log, read back: its lines in either format, and what they say to a person."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import orjson

Line = dict[str, Any]

# What a line for people looks like (`[log] format = "text"`), behind whatever a journal writes in front of it.
_TEXT = re.compile(r"(\d{4}-\d\d-\d\dT[\d:.]+Z) \[(\w+) *\] ([\w.]+)((?: \w+=(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\S*))*)\s*$")  # fmt: skip
_FIELD = re.compile(r" (\w+)=('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\S*)")
_LISTS = ("languages", "methods", "missing", "prompts", "served", "steps")
_NUMBERS = ("assurance", "keys")
_OF_EVERY_LINE = ("event", "at", "level", "call", "place")


def _dots(count: int) -> str:
    return "•" * count


WORDS: Mapping[str, Callable[[Line], str]] = {
    "call.started": lambda line: f"call from {line['number'] or 'a withheld number'}, policy {line['policy']}",
    "subject.found": lambda line: (
        "customer is the one who was called"
        if line["by"] == "called"
        else f"customer found by the {line['by'].replace('_', ' ')}"
    ),
    "entry.asked": lambda line: f"plays {', '.join(line['prompts'])}",
    "entry.key": lambda line: f"keyed {_dots(line['keys'])}",
    "entry.interrupted": lambda line: f"{line['entry']}: keys were lost, it is asked for again",
    "step.wrong": lambda line: f"{line['step']}: wrong",
    "step.ended": lambda line: f"{line['step']}: {line['outcome']}",
    "text.sent": lambda _: "text message handed to the gateway",
    "call.verified": lambda line: f"VERIFIED at level {line['assurance']} by {' and '.join(line['methods'])}",
    "call.refused": lambda line: f"{line['status'].upper()}: no mark",
    "call.handed_back": lambda line: f"back to the dialplan as {line['status']}",
    "agent.ringing": lambda line: f"calls {line['endpoint']}",
    "agent.answered": lambda line: f"{line['endpoint']} answers: bridged",
    "agent.missed": lambda line: f"{line['endpoint']}: {line['why'].replace('_', ' ')}",
    "mark.dropped": lambda _: "mark dropped",
    "call.hung_up": lambda line: f"caller has hung up (phase: {line['phase']})",
    "call.unavailable": lambda line: f"UNAVAILABLE in {line['phase']}: {line['error']}",
    "call.ended": lambda _: "call ended",
}
"""What the lines say that a person looks for first."""


def words(line: Line) -> str:
    """What a line says; in its own words where it is none of those above, or not as it should be."""
    said = WORDS.get(line["event"])
    if said is not None:
        try:
            return plain(said(line))
        except (KeyError, TypeError, AttributeError):
            pass
    fields = (f"{name}={value}" for name, value in line.items() if name not in _OF_EVERY_LINE)
    return plain(" ".join((line["event"], *fields)))


def plain(text: str) -> str:
    """Without what would move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def lines_of(call: str, source: Iterable[str]) -> Iterator[Line]:
    """The lines that are of this call, or of its channel; whatever else stands there is passed over."""
    for text in source:
        # most lines are of other calls, and need not be read
        if call in text and (line := read(text)) is not None and call in (line.get("call"), line.get("channel")):
            yield line


def read(text: str) -> Line | None:
    """A line of the log, in JSON or for people; None where it is none."""
    begin = text.find('{"')
    if begin >= 0:
        try:
            line = orjson.loads(text[begin:])
        except orjson.JSONDecodeError:
            line = None
        if (
            isinstance(line, dict)
            and all(isinstance(line.get(name), str) for name in ("event", "level"))
            and _dated(line)
        ):
            return line
    if (found := _TEXT.search(text)) is None:
        return None
    fields = {name: _value(name, value) for name, value in _FIELD.findall(found[4])}
    line = {**fields, "at": found[1], "level": found[2], "event": found[3]}
    return line if _dated(line) else None


def _dated(line: Line) -> bool:
    """Whether its time can be read, and compared with that of others."""
    try:
        return datetime.fromisoformat(line["at"]).tzinfo is not None
    except (KeyError, TypeError, ValueError):
        return False


def _value(name: str, text: str) -> object:
    """What a field was before it was written for people: a text, or what fields of this name are."""
    if text == "None":
        return None
    try:
        if text[:1] in ("'", '"'):
            text = str(ast.literal_eval(text))
        if name in _LISTS:
            return list(ast.literal_eval(text))
        return float(text) if name == "seconds" else int(text) if name in _NUMBERS else text
    except (ValueError, SyntaxError, TypeError):
        return text
