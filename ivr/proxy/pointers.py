"""Pointers into JSON (RFC 6901), where `*` is any member of an object and any item of an array."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeGuard

import orjson

from ivr.proxy.target import Ambiguous, folded

ANY = "*"
_MISSING = object()

Path = tuple[str, ...]


class Unreadable(Exception):
    """It is no JSON, or has something that readers differ about."""


def parsed(pointer: str) -> Path:
    """The names of a pointer; of the whole document, none."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


# ---------------------------------------------------------------- reading


def read(body: bytes) -> Any:
    """What comes from a server: what is read is written anew, so that nobody else reads it. Raises `Unreadable`."""
    try:
        return orjson.loads(body)
    except (orjson.JSONDecodeError, RecursionError):
        raise Unreadable from None


def written(document: Any) -> bytes:
    """As JSON again. Raises `Unreadable` for what is too deep, which can be read and not be written."""
    try:
        return orjson.dumps(document)
    except TypeError:
        raise Unreadable from None


def read_strictly(body: bytes) -> Any:
    """What goes on as it is, and must be the same to every reader: no name twice in an object, in no spelling.

    Raises `Unreadable` for what is no JSON (RFC 8259), `Ambiguous` for what is more than one.
    """
    try:
        text = body.decode()
        if text.startswith("\ufeff") or "\0" in text:
            raise Unreadable
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except Ambiguous:
        raise
    except (ValueError, RecursionError):
        raise Unreadable from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [folded(name.replace("\0", "")) for name, _ in pairs]
    if len(set(names)) < len(names) or any("\0" in name for name, _ in pairs):
        raise Ambiguous("member")
    return dict(pairs)


def _no_number(_: str) -> NoReturn:
    raise Unreadable


# ---------------------------------------------------------------- finding


def found(document: Any, path: Path) -> Iterator[Any]:
    """All values there. Of an object or an item that has none, `None`: something is there that is not what it should be."""
    if not path:
        yield document
        return
    first, rest = path[0], path[1:]
    if first == ANY and isinstance(document, dict | list):
        for value in document.values() if isinstance(document, dict) else document:
            yield from found(value, rest)
    else:
        value = _child(document, first)
        yield from (None,) if value is _MISSING else found(value, rest)


def _child(document: Any, name: str) -> Any:
    match document:
        case dict():
            return document.get(name, _MISSING)
        case list() if _is_index(name) and int(name) < len(document):
            return document[int(name)]
        case _:
            return _MISSING


def _is_index(name: str) -> bool:
    """RFC 6901: digits without a leading zero. More of them than any array has items are none."""
    return name.isascii() and name.isdecimal() and (name == "0" or name[0] != "0") and len(name) < 10


# ---------------------------------------------------------------- taking out


@dataclass(slots=True)
class Levels:
    """The level that each part of a document needs: that of the pointer that leads nearest to it."""

    own: int | None = None
    below: dict[str, Levels] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: Mapping[str, int]) -> Levels:
        """By pointers."""
        root = cls()
        for pointer, level in fields.items():
            at = root
            for name in parsed(pointer):
                at = at.below.setdefault(name, cls())
            at.own = level
        return root

    def covered(self, document: Any, level: int, rest: int) -> Any:
        """What `level` covers of it; what no pointer names needs `rest`. Nothing of it: `None`."""
        kept = _kept(document, (self,), level, rest)
        return None if kept is _MISSING else kept


def _kept(value: Any, rules: tuple[Levels, ...], level: int, inherited: int) -> Any:
    """`_MISSING` where nothing is left. Where several pointers lead to one place, the highest level counts."""
    needed = max((rule.own for rule in rules if rule.own is not None), default=inherited)
    if not any(rule.below for rule in rules) or not _holds(value):
        return value if needed <= level else _MISSING
    if isinstance(value, dict):
        members = {
            name: kept
            for name, inner in value.items()
            if (kept := _kept(inner, _at(rules, name), level, needed)) is not _MISSING
        }
        return members if members or needed <= level else _MISSING
    items = [
        kept
        for number, inner in enumerate(value)
        if (kept := _kept(inner, _at(rules, str(number)), level, needed)) is not _MISSING
    ]
    return items if items or needed <= level else _MISSING


def _holds(value: Any) -> TypeGuard[dict[str, Any] | list[Any]]:
    return isinstance(value, dict | list)


def _at(rules: Iterable[Levels], name: str) -> tuple[Levels, ...]:
    return tuple(rule.below[key] for rule in rules for key in {name, ANY} if key in rule.below)
