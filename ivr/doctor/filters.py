"""Of which events users of AMI are told in spite of their class: what the filters of manager.conf let through."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

KEYS = ("DTMFBegin", "DTMFEnd")
"""The events of a key; its end alone tells which one it was."""
DIALLED = "DialBegin"
"""The event that tells which number is called."""

# What an event begins with, as AMI writes it; what comes then is not a key's alone.
_HEAD = "Event: {name}\r\nPrivilege: {classes}\r\n{then}"
# What means the same in Asterisk's regular expressions (POSIX, extended) and in Python's.
_PLAIN = re.compile(r"[\w :.*^$|(),/-]*", re.ASCII)
# An expression that asks for the name, which stands at the beginning of an event and nowhere else.
_OF_NAMES = re.compile(r"\^?Event: ?(?:[A-Za-z]+|\([A-Za-z]+(?:\|[A-Za-z]+)*\))(?:\.\*|\$)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Filter:
    """One line `eventfilter`."""

    exclude: bool
    name: str | None
    header: str | None
    method: str
    pattern: str

    def matches(self, event: str) -> bool | None:
        """Whether it is about this event; None where that depends on what else stands in the event."""
        if self.name is not None and self.name != event:
            return False
        key = event in KEYS
        classes = "dtmf,all" if key else "call,all"
        head = _HEAD.format(name=event, classes=classes, then="Channel: " if key else "")
        if self.header is None:
            return self._matches(head, whole=False) if self.method != "none" else True
        known = {"Event": event, "Privilege": classes}
        header = self.header.removesuffix(":")
        if header not in known:
            return None
        return self._matches(known[header], whole=True) if self.method != "none" else True

    def _matches(self, text: str, *, whole: bool) -> bool | None:
        """`whole`: the text is all there is; else it goes on."""
        pattern = self.pattern
        match self.method:
            case "regex":
                return self._searched(text, whole=whole)
            case "starts_with":
                return text.startswith(pattern) or (None if not whole and pattern.startswith(text) else False)
            case "contains":
                return pattern in text or (False if whole or _OF_NAMES.fullmatch(pattern) else None)
            case "exact":
                return pattern == text if whole else None
            case _:
                return text.endswith(pattern) if whole else None

    def _searched(self, text: str, *, whole: bool) -> bool | None:
        if _PLAIN.fullmatch(self.pattern) is None:
            return None
        try:
            found = re.search(self.pattern, text if whole else text + "…", re.DOTALL)
        except re.error:
            return None
        return True if found else False if whole or _OF_NAMES.fullmatch(self.pattern) else None


def keeps_keys_out(lines: Iterable[str]) -> bool:
    """Whether these lines of manager.conf surely keep both events of a key away."""
    return keeps_out(lines, KEYS)


def keeps_out(lines: Iterable[str], events: Iterable[str]) -> bool:
    """Whether these lines of manager.conf surely keep all of these events away.

    Where there is a filter that includes, what none includes is left out; what one excludes is left out in any case.
    """
    filters = [one for line in lines if (one := read(line)) is not None]
    included = [one for one in filters if not one.exclude]
    excluded = [one for one in filters if one.exclude]
    return all(
        (included and all(one.matches(event) is False for one in included))
        or any(one.matches(event) is True for one in excluded)
        for event in events
    )


def read(line: str) -> Filter | None:
    """A line `eventfilter`, or `eventfilter(…)` since Asterisk 22; None where Asterisk would not take it."""
    name, _, pattern = line.partition(";")[0].partition("=")
    found = re.fullmatch(r"\s*eventfilter\s*(?:\((.*)\))?\s*", name)
    if found is None:
        return None
    pattern = pattern.removeprefix(">").strip()
    exclude, pattern = pattern.startswith("!"), pattern.removeprefix("!")
    if found[1] is None:
        return Filter(exclude, None, None, "regex", pattern) if pattern else None
    given = dict(re.findall(r"(\w+)\(\s*([^,() ]*)\s*\)", found[1]))
    if "action" in given:
        exclude = given["action"] == "exclude"
    method = given.get("method", "none")
    if (method == "none") == bool(pattern) or not (pattern or {"name", "header"} & set(given)):
        return None
    return Filter(exclude, given.get("name"), given.get("header"), method, pattern)


def of_user(files: Iterable[str], user: str) -> list[str]:
    """The lines `eventfilter` of a user's sections in files like manager.conf, with those of its templates."""
    sections: dict[str, list[tuple[list[str], str]]] = {}
    for text in files:
        for name, more, body in re.findall(r"(?ms)^\[([^]]+)\](?:\(([^)\n]*)\))?(.*?)(?=^\[|\Z)", text):
            parents = [one.strip() for one in more.split(",") if one.strip() not in ("", "!", "+")]
            sections.setdefault(name, []).append((parents, body))

    def lines(name: str, seen: frozenset[str]) -> list[str]:
        told: list[str] = []
        for parents, body in sections.get(name, []) if name not in seen else []:
            for parent in parents:
                told += lines(parent, seen | {name})
            told += [line for line in body.splitlines() if line.strip().startswith("eventfilter")]
        return told

    return lines(user, frozenset())
