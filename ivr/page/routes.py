"""Which address is which: few, and each is read in one way alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ivr.secret import Secret


@dataclass(frozen=True, slots=True)
class Target:
    """`name`: the pattern, as the log has it; `link`: what a link ends with; `way`, `secret`: of what is posted."""

    name: str
    methods: frozenset[str]
    link: Secret = field(default_factory=lambda: Secret(""))
    way: str = ""
    secret: Secret = field(default_factory=lambda: Secret(""))


_READ, _SENT = frozenset({"GET", "HEAD"}), frozenset({"POST"})

FIRST, OPEN, CONFIRM, DENY = "/p/{link}", "/p/{link}/open", "/p/{link}/confirm", "/p/{link}/deny"
CODE, KEYED, LOGO, POSTED = "/", "/code", "/logo", "/in/{way}/{secret}"
DOCUMENT, LETTERS = "/.well-known/tillit.json", "/in/peers"
CHECK = "/check"
HEALTH, READY = "/healthz", "/readyz"
ASKED, ANSWER, NOT_ME = "/c/{link}", "/c/{link}/confirm", "/c/{link}/deny"

METHODS: Mapping[str, frozenset[str]] = {
    FIRST: _READ,
    OPEN: _SENT,
    CONFIRM: _SENT,
    DENY: _SENT,
    ASKED: _READ,
    ANSWER: _SENT,
    NOT_ME: _SENT,
    CODE: _READ,
    KEYED: _SENT,
    LOGO: _READ,
    POSTED: _SENT,
    DOCUMENT: _READ,
    LETTERS: _SENT,
    CHECK: _READ | _SENT,
    HEALTH: _READ,
    READY: _READ,
}
"""Every route with its methods. What is read changes nothing."""

NAMES = frozenset({*METHODS, "none"})

SIGNED = frozenset({DOCUMENT, LETTERS})
"""What other organisations ask for and send: it says itself whose it is and for whom, and so may come under any name of ours."""

# Longer ones are nobody's; shorter ones too, but that is for the store to say.
_LINK = re.compile(r"/p/(?P<link>[A-Za-z0-9_-]{1,64})(?P<act>/open|/confirm|/deny)?")
_CALLER = re.compile(r"/c/(?P<link>[A-Za-z0-9_-]{1,64})(?P<act>/confirm|/deny)?")
_POSTED = re.compile(r"/in/(?P<way>[a-z0-9_-]{1,40})/(?P<secret>[A-Za-z0-9_-]{1,128})")


def target(path: str) -> Target | None:
    """None for an address that is none of ours. `path`: as it was sent, without the query; nothing of it is decoded."""
    if path in (CODE, KEYED, CHECK, LOGO, DOCUMENT, HEALTH, READY):
        return Target(path, METHODS[path])
    if path == LETTERS:
        return Target(path, METHODS[path], way="peers")
    if (found := _LINK.fullmatch(path)) is not None:
        name = FIRST + (found["act"] or "")
        return Target(name, METHODS[name], link=Secret(found["link"]))
    if (found := _CALLER.fullmatch(path)) is not None:
        name = ASKED + (found["act"] or "")
        return Target(name, METHODS[name], link=Secret(found["link"]))
    if (found := _POSTED.fullmatch(path)) is not None:
        return Target(POSTED, METHODS[POSTED], way=found["way"], secret=Secret(found["secret"]))
    return None
