"""Whose a key in Redis is: a tenant's, and then the tenant stands in it, or one of the machine's kinds."""

from __future__ import annotations

import re

MACHINES = (
    # of calls and of Asterisk: a node, a channel, an endpoint, an application
    "mark", "marks", "call", "calls", "waits", "gone", "outcome", "parting", "lease", "wants", "turn", "probe",
    "dialled", "dial:off",
    # counted over all, or by who is not known yet: a calling number, an address, a program of the settings
    "fail:all", "fail:alarm", "fail:call", "fail:number", "budget:all", "budget:country", "budget:prefix",
    "tries:all", "tries:address", "pace:address", "pace:elsewhere", "pace:program",
)  # fmt: skip
TENANTS = (
    # of a customer
    "fail:customer", "texts", "challenge", "unlock",
    # of a person
    "session", "sessions", "ended", "element", "handover", "tries:login", "reads:of", "reads:stop", "reads:warned",
    "opening:one", "opening:by", "opening:waiting", "pace:person", "pace:proxy", r"ticket:[a-z-]+",
    "dial:on", "dial:ended", "pace:dial", "pace:dialled",
)  # fmt: skip


def whose(keys: list[str], prefix: str, tenants: frozenset[str]) -> tuple[set[str], list[str]]:
    """The kinds of tenants' keys that are among them; and what is of no kind, or misses its tenant."""
    names = "|".join(map(re.escape, tenants))
    tenanted = re.compile(rf"{prefix}:({'|'.join(TENANTS)}):(?:{names})(?::.+)?")
    machines = re.compile(rf"{prefix}:(?:{'|'.join(MACHINES)})(?::.*)?", re.DOTALL)
    found, wrong = set(), []
    for key in keys:
        if named := tenanted.fullmatch(key):
            found.add(named[1])
        elif not machines.fullmatch(key) or re.match(rf"{prefix}:(?:{'|'.join(TENANTS)})(?::|$)", key):
            wrong.append(key)
    return found, sorted(wrong)
