"""What in a line of the dialplan records a call, lets others hear it, or reads keys: by itself, or wrapped in ExecIf()."""

from __future__ import annotations

import re
from collections.abc import Iterator

NAMES = (
    # write the sound down, or hand it to a program
    "MixMonitor", "Monitor", "Record", "Dictate", "EAGI", "AudioSocket",
    # let others hear it
    "ChanSpy", "ExtenSpy", "ConfBridge", "MeetMe",
    # put what is keyed into a variable, or hand it to a program
    "Read", "ReadExten", "ExternalIVR",
)  # fmt: skip
"""Applications of Asterisk's; to it capitals are all the same."""

_KNOWN = {name.lower(): name for name in NAMES}
_OPEN, _SHUT = "([{", ")]}"


def named(text: str) -> set[str]:
    """Which of `NAMES` this line carries out: `ExecIf(…?MixMonitor(a.wav))` has one, `NoOp(MixMonitor(a.wav))` none."""
    return {_KNOWN[name] for one in _carried_out(text) if (name := one.lower()) in _KNOWN}


def _carried_out(text: str) -> Iterator[str]:
    """The applications of a line, those that others carry out among them."""
    name, _, rest = text.strip().partition("(")
    name, arguments = name.strip(), rest.rpartition(")")[0]
    yield name
    lower = name.lower()
    if lower in ("tryexec", "exec"):
        yield from _carried_out(arguments)
    elif lower == "execif":
        for branch in _branches(arguments):
            yield from _carried_out(branch)
    elif lower == "originate":
        _, kind, other, *_ = (*_split(arguments, ","), "", "", "")
        if kind.strip().lower() == "app":
            yield other.strip()


def _branches(arguments: str) -> list[str]:
    """`b(c)` and `d` of `a?b(c):d`."""
    _, *then = _split(arguments, "?")
    if then:
        return _split("?".join(then), ":")
    # brackets or quotes that do not fit, as in a regular expression: rather one too many than one too few
    return re.split(r"[?:]", arguments)


def _split(text: str, at: str) -> list[str]:
    """Its parts between these, outside of brackets and quotes."""
    parts, depth, quoted, escaped = [""], 0, False, False
    for letter in text:
        special = not escaped
        escaped = special and letter == "\\"
        if special and letter == '"':
            quoted = not quoted
        elif special and not quoted:
            depth += (letter in _OPEN) - (letter in _SHUT and depth > 0)
            if letter == at and not depth:
                parts.append("")
                continue
        parts[-1] += letter
    return parts
