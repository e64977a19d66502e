"""What a request is to the proxy: about a customer, free, or neither."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from ivr.config import Pattern, Proxy
from ivr.config.patterns import NUMBER, segments
from ivr.proxy import pairs, pointers
from ivr.proxy.pointers import Levels
from ivr.proxy.target import Target, key_of
from ivr.web.problems import Problem

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
READING = frozenset({"GET", "HEAD"})
_REFERENCE = re.compile(r"[a-z0-9]{12}")


class Named(NamedTuple):
    """What a request or an answer names a customer by: a customer number, or a reference. `NOBODY`: what is neither."""

    holds: str
    text: str


NOBODY = Named("", "")


class Shape:
    """The path of a pattern, or of what is free."""

    def __init__(self, path: str) -> None:
        self._segments = segments(path)
        self._open_ended = self._segments[-1:] == ("**",)
        if self._open_ended:
            self._segments = self._segments[:-1]
        self._keys = tuple(map(key_of, self._segments))
        self.plain = not self._open_ended and "*" not in self._segments

    def fits(self, target: Target) -> bool:
        """Whether it is this path to any server, be it one that tells no case."""
        return self._as_long(target) and _match(self._segments, self._keys, target.keys)

    def is_exactly(self, target: Target) -> bool:
        """Whether it is this path to every server."""
        return self._as_long(target) and _match(self._segments, self._segments, target.segments)

    def is_above(self, target: Target) -> bool:
        """Whether it is the beginning of a longer one, or of one with a verb or a stream behind a colon."""
        if not 0 < len(self._segments) <= len(target.keys):
            return False
        return _match(self._segments, self._keys, [key.partition(":")[0] for key in target.keys])

    def numbers(self, target: Target) -> list[str]:
        """What stands where the customer's number does."""
        pairs = zip(self._segments, target.segments, strict=False)
        return [given for segment, given in pairs if segment == NUMBER]

    def _as_long(self, target: Target) -> bool:
        least, there = len(self._segments), len(target.segments)
        return there >= least if self._open_ended else there == least


def _match(segments: Collection[str], keys: Collection[str], given: Collection[str]) -> bool:
    found = zip(segments, keys, given, strict=False)
    return all(segment in ("*", NUMBER) or key == one for segment, key, one in found)


class Rule:
    """A pattern, ready to be asked."""

    def __init__(self, name: str, pattern: Pattern, number: re.Pattern[str]) -> None:
        self.name = name
        self.pattern = pattern
        self.shape = Shape(pattern.path)
        self.levels = Levels.of(pattern.fields)
        self.headers = frozenset(name.lower() for name in pattern.headers) if pattern.reads_answer else None
        self._form = number if pattern.holds == "number" else _REFERENCE
        self._body = [pointers.parsed(one) for one in pattern.body]
        self._answer = [pointers.parsed(one) for one in pattern.answer]

    def allows(self, method: str) -> bool:
        """Whether this method is one of its own."""
        if method == "HEAD" and self.pattern.answer:
            # there is nothing to compare, and how long it would be tells of others
            return False
        return _asked(method) in self.pattern.methods

    def is_told_by_path(self, method: str) -> bool:
        """Whether the path alone says that a request of this method is about a customer; True for a method that is none of its own."""
        return NUMBER in self.pattern.segments or _asked(method) not in self.pattern.methods

    def named(self, target: Target) -> list[Named]:
        """The customers whom the address names. Raises `Ambiguous`, and `Problem` where a number is missing."""
        given = pairs.check(target.query, self.pattern.query, self.pattern.parameters)
        if len(given) < len(self.pattern.query):
            raise Problem("no_number")
        return [self._known(one) for one in (*self.shape.numbers(target), *given)]

    def in_body(self, document: Any) -> list[Named]:
        """Those whom the request's JSON names. Raises `Problem` where there is none."""
        found = [[self._known(value) for value in pointers.found(document, path)] for path in self._body]
        if not all(found):
            raise Problem("no_number")
        return [one for some in found for one in some]

    def in_answer(self, document: Any) -> list[Named]:
        """Those whom the answer's JSON names."""
        return [self._known(value) for path in self._answer for value in pointers.found(document, path)]

    def _known(self, value: Any) -> Named:
        """`NOBODY` for what is no number, or could be written in another way."""
        text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        return Named(self.pattern.holds, text) if self._form.fullmatch(text) else NOBODY


@dataclass(frozen=True, slots=True)
class Protected:
    """A request about a customer: all these rules hold."""

    rules: tuple[Rule, ...]

    @property
    def name(self) -> str:
        """For log and trail."""
        return "+".join(rule.name for rule in self.rules)

    @property
    def level(self) -> int:
        """The highest that one of them needs."""
        return max(rule.pattern.level for rule in self.rules)

    @property
    def reads_answer(self) -> bool:
        """Whether an answer must be JSON, and is read whole."""
        return any(rule.pattern.reads_answer for rule in self.rules)

    @property
    def headers(self) -> frozenset[str] | None:
        """In small letters, headers that may go back beside those that belong to any answer; None: all of them."""
        named = [rule.headers for rule in self.rules if rule.headers is not None]
        return named[0].intersection(*named) if named else None

    @property
    def compares(self) -> bool:
        """Whether the answer has numbers that must be the caller's."""
        return any(rule.pattern.answer for rule in self.rules)

    @property
    def reads_body(self) -> bool:
        """Whether the request's JSON has a number."""
        return any(rule.pattern.body for rule in self.rules)

    @property
    def takes_forms(self) -> bool:
        """Whether all of them let forms come."""
        return all(rule.pattern.forms for rule in self.rules)

    def covered(self, document: Any, level: int) -> Any:
        """What is left of an answer for a mark of this level."""
        for rule in self.rules:
            if rule.pattern.fields:
                document = rule.levels.covered(document, level, rule.pattern.level)
        return document


class Rules:
    """All patterns of the settings."""

    def __init__(self, proxy: Proxy, *, digits: tuple[int, int]) -> None:
        """`digits`: how many a customer number has, from and to."""
        number = re.compile(rf"[0-9]{{{digits[0]},{digits[1]}}}")
        self._rules = [Rule(name, pattern, number) for name, pattern in proxy.patterns.items()]
        self._free = [(method, Shape(path)) for method, path in map(_free, proxy.free)]
        self._pass = proxy.others == "pass"

    def of(self, method: str, target: Target) -> Protected | None:
        """The rules that hold; None where it needs no customer. Raises `Problem` where it does not go through at all."""
        if method not in METHODS:
            raise Problem("method_not_allowed")
        fitting = [rule for rule in self._rules if rule.shape.fits(target)]
        # /customers/new is no customer's; of one in the query, in a body or in the answer the path says nothing
        if self._is_free(method, target, plain=True) and all(rule.is_told_by_path(method) for rule in fitting):
            return None
        if fitting:
            allowed = tuple(rule for rule in fitting if rule.allows(method))
            if not allowed:
                raise Problem("method_not_allowed")
            return Protected(allowed)
        # what lies below somebody's record is that somebody's too, and nobody has said how it is to be kept
        if any(rule.shape.is_above(target) for rule in self._rules):
            raise Problem("unlisted")
        if self._pass or self._is_free(method, target, plain=False):
            return None
        raise Problem("unlisted")

    def _is_free(self, method: str, target: Target, *, plain: bool) -> bool:
        return any(
            _asked(method) == allowed and shape.plain is plain and shape.is_exactly(target)
            for allowed, shape in self._free
        )


def _asked(method: str) -> str:
    return "GET" if method == "HEAD" else method


def _free(line: str) -> tuple[str, str]:
    method, found, path = line.partition(" ")
    return (method, path) if found else ("GET", line)
