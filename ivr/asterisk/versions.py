"""Which Asterisk can be trusted with a call."""

from __future__ import annotations

import re

# The least version of each branch that has what is used here and the fixes of the two advisories on ARI.
LEAST = {20: (20, 20, 1), 22: (22, 10, 1), 23: (23, 4, 1)}
# Release candidates that crash on a websocket pong.
_CRASH = {(22, 11, 0, 1), (23, 5, 0, 1)}
# `-rc1` is Asterisk's way to write it, `~rc1` Debian's.
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?(?:[-~]+rc(\d+))?")


def trouble(version: str) -> str | None:
    """What is wrong with this version, in words; None where nothing is known to be.

    `version` is as `GET /asterisk/info` gives it: `22.10.1`, `22.10.1~dfsg…`, `certified/20.7-cert5`, `GIT-…`.
    """
    found = _VERSION.match(version)
    if found is None:
        return "is not a released version"
    numbers = (int(found[1]), int(found[2]), int(found[3] or 0))
    candidate = int(found[4] or 0)
    if (*numbers, candidate) in _CRASH:
        return "crashes when it answers a websocket ping"
    branch = numbers[0]
    if branch > max(LEAST):
        return None
    if branch not in LEAST:
        return "is of a branch that is not supported"
    if numbers < LEAST[branch] or (candidate and numbers == LEAST[branch]):
        least = ".".join(map(str, LEAST[branch]))
        return f"is older than {least}, the first of its branch that is safe and complete"
    return None


def supported() -> str:
    """The supported versions, for people."""
    return ", ".join(".".join(map(str, least)) + " or newer" for least in LEAST.values())
