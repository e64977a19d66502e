"""Which address is which: few, and each is read in one way alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ivr.secret import Secret
from ivr.store.posted import PUSH as WAY_OF_PUSH


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
PUSH, SCRIPT, WORKER = "/p/{link}/push", "/push.js", "/sw.js"
ME, ME_CODE, ME_APP = "/p/{link}/me", "/p/{link}/me/code", "/p/{link}/me/app/{nonce}"
CODE, KEYED, LOGO, POSTED = "/", "/code", "/logo", "/in/{way}/{secret}"
DOCUMENT, LETTERS = "/.well-known/tillit.json", "/in/peers"
CHECK = "/check"
HEALTH, READY = "/healthz", "/readyz"
CAME = "/back"
"""Where brokers send people back to, whatever they were sent there for; nothing of whose it is stands in it."""
ASKED, ANSWER, NOT_ME = "/c/{link}", "/c/{link}/confirm", "/c/{link}/deny"

PERSON, BEGIN, NOW, BACK = "/person", "/person/begin", "/person/now", "/person/back/{link}"
KEY_CODE, STOP = "/person/code", "/person/stop"
LETTER, WHO, ANSWER_BACK, UNKNOWN = "/i/{link}", "/i/{link}/open", "/i/{link}/answer", "/i/{link}/deny"

PERSONS = frozenset({PERSON, BEGIN, NOW, BACK, KEY_CODE, STOP, LETTER, WHO, ANSWER_BACK, UNKNOWN, CAME})
"""Those of people who show each other who they are; there where that is switched on."""

BACKS = frozenset({ME, ME_CODE, ME_APP})
"""Those of whoever was shown who the company is, and shows who they are."""

METHODS: Mapping[str, frozenset[str]] = {
    FIRST: _READ,
    OPEN: _SENT,
    CONFIRM: _SENT,
    DENY: _SENT,
    PUSH: _SENT,
    ME: _READ | _SENT,
    ME_CODE: _SENT,
    ME_APP: _READ | _SENT,
    SCRIPT: _READ,
    WORKER: _READ,
    ASKED: _READ,
    ANSWER: _SENT,
    NOT_ME: _SENT,
    PERSON: _READ,
    BEGIN: _SENT,
    NOW: _READ,
    BACK: _READ | _SENT,
    KEY_CODE: _SENT,
    STOP: _SENT,
    LETTER: _READ,
    WHO: _SENT,
    ANSWER_BACK: _SENT,
    UNKNOWN: _SENT,
    CODE: _READ,
    KEYED: _SENT,
    LOGO: _READ,
    POSTED: _SENT,
    DOCUMENT: _READ,
    LETTERS: _SENT,
    CHECK: _READ | _SENT,
    CAME: _READ,
    HEALTH: _READ,
    READY: _READ,
}
"""Every route with its methods. What is read changes nothing; but `CAME` ends what it is of, and so do `BACK` and `ME_APP`, opened where it was not begun."""

NAMES = frozenset({*METHODS, "none"})

SIGNED = frozenset({DOCUMENT, LETTERS})
"""What other organisations ask for and send: it says itself whose it is and for whom, and so may come under any name of ours."""

# Longer ones are nobody's; shorter ones too, but that is for the store to say.
_LINK = re.compile(r"/p/(?P<link>[A-Za-z0-9_-]{1,64})(?P<act>/open|/confirm|/deny|/push|/me|/me/code)?")
_APP = re.compile(r"/p/(?P<link>[A-Za-z0-9_-]{1,64})/me/app/(?P<nonce>[A-Za-z0-9_-]{1,64})")
_CALLER = re.compile(r"/c/(?P<link>[A-Za-z0-9_-]{1,64})(?P<act>/confirm|/deny)?")
_BACK = re.compile(r"/person/back/(?P<link>[A-Za-z0-9_-]{1,64})")
_LETTER = re.compile(r"/i/(?P<link>[A-Za-z0-9_-]{1,64})(?P<act>/open|/answer|/deny)?")
_POSTED = re.compile(r"/in/(?P<way>[a-z0-9_-]{1,40})/(?P<secret>[A-Za-z0-9_-]{1,128})")
_PLAIN = frozenset(name for name in METHODS if "{" not in name)
_LINKED = ((_LINK, FIRST), (_CALLER, ASKED), (_LETTER, LETTER), (_BACK, BACK))


def target(path: str) -> Target | None:
    """None for an address that is none of ours. `path`: as it was sent, without the query; nothing of it is decoded."""
    if path == LETTERS:
        return Target(path, METHODS[path], way="peers")
    if path in _PLAIN:
        return Target(path, METHODS[path])
    for form, first in _LINKED:
        if (found := form.fullmatch(path)) is not None:
            name = first + (found.groupdict().get("act") or "")
            link = Secret(found["link"])
            return Target(name, METHODS[name], link, *((WAY_OF_PUSH, link) if name == PUSH else ()))
    if (found := _APP.fullmatch(path)) is not None:
        return Target(ME_APP, METHODS[ME_APP], Secret(found["link"]), secret=Secret(found["nonce"]))
    if (found := _POSTED.fullmatch(path)) is not None:
        return Target(POSTED, METHODS[POSTED], way=found["way"], secret=Secret(found["secret"]))
    return None
