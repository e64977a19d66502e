"""The audit trail, for those who may read it: auditors all of their tenant's rows, data owners who read which customer's record.

Each look is a row itself, before anything is shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from ivr.errors import Unavailable
from ivr.lock.actions import ACTIONS
from ivr.lock.judge import Judge
from ivr.lock.rows import Rows
from ivr.lock.trailrows import Found, Place, Sought
from ivr.lock.words import Denied, Reason
from ivr.staff import Permission, Person

_WHAT = "audit.read"
# What Asterisk calls a channel by: of another form it may be a number that somebody has typed.
_UNIQUE_ID = re.compile(r"[A-Za-z0-9_.-]{0,100}\b[0-9]{9,11}\.[0-9]{1,12}", re.ASCII)


class Kind(StrEnum):
    """What rows tell of."""

    READS = "reads"
    """Customers' records, and who has read too many of them."""
    CALLS = "calls"
    """Callers who are verified, and marks."""
    CUSTOMERS = "customers"
    """Changes of customers."""
    OPENINGS = "openings"
    """Records without a call."""
    PEOPLE = "people"
    """Those who sign in, as administrators and they themselves change them."""
    SIGN_INS = "sign_ins"
    DENIED = "denied"
    """What somebody's role has not, and was asked for."""
    SYSTEM = "system"


OF_KIND: Mapping[Kind, frozenset[str]] = MappingProxyType({
    Kind.READS: frozenset({
        "record.read", "record.name", "proxy.read", "proxy.change", "mark.token", "glass.read", "customer.show", "customer.reveal", "customer.export",
        "reads.stopped", "reads.unusual", "reads.lifted",
    }),
    Kind.CALLS: frozenset({
        "verify", "call.verify", "mark.drop", "mark.void", "texts.close", "eid", "proof", "proof.speech", "proof.cancel", "push.add", "history", "peer.prove", "peer.read", "dial",
    }),
    Kind.CUSTOMERS: frozenset({
        "customer.add", "customer.import", "customer.set_pin", "customer.totp_add", "customer.totp_remove", "customer.identity_add", "customer.identity_remove", "customer.notice", "customer.mail_set", "customer.mail_remove", "customer.partner_set", "customer.partner_remove", "customer.push_remove", "customer.lock", "customer.unlock_asked", "customer.unlock",
        "customer.remove", "customer.erase", "proxy.change", *(f"customer.{action}" for action in ACTIONS),
    }),
    Kind.OPENINGS: frozenset({"glass.ask", "glass.approve", "glass.decline"}),
    Kind.PEOPLE: frozenset({
        "agent.add", "agent.show", "agent.list", "agent.endpoints", "agent.change", "agent.permit", "agent.deny", "agent.usual",
        "agent.link", "agent.unlink", "agent.reset", "agent.disable", "agent.enable", "agent.enrol", "agent.erase", "passkey.add",
        "passkey.remove",
    }),
    Kind.SIGN_INS: frozenset({"desk.sign_in", "desk.sign_out", "desk.element"}),
    Kind.DENIED: frozenset({
        "desk.request", "reads.standing", "watch.calls", "watch.statistics", "watch.locks", "glass.waiting", "glass.own",
    }),
    Kind.SYSTEM: frozenset({
        "audit.read", "audit.export", "audit.accept", "audit.sign", "audit.clock", "audit.retention", "keys.add", "keys.rotate",
        "keys.rotated", "keys.retire", "keys.tokens", "backup", "backup.written", "restore", "init", "webhooks.retry", "peer.key", "peer.agree", "peer.forget",
    }),
})  # fmt: skip
"""The actions of each: every action of the trail is in one of them.

What may change something in the system behind is a read as well: its answer is given out, and a search is often sent by POST.
"""


@dataclass(frozen=True, slots=True)
class Question:
    """Which rows somebody wants. `actor`: a login, or part of it; `since` and `until` as the trail has times."""

    kind: Kind | None = None
    actor: str | None = None
    call: str | None = None
    ref: str | None = None
    since: str | None = None
    until: str | None = None


class Searched(Protocol):
    """`ivr.lock.trailrows.TrailRows`."""

    async def found(self, sought: Sought, before: Place | None, most: int) -> Found: ...


class Review:
    """None of the methods raises `Unavailable`: a part that is down refuses."""

    def __init__(self, judge: Judge, searched: Searched, rows: Rows) -> None:
        self._judge = judge
        self._searched = searched
        self._rows = rows

    async def rows(self, by: Person, question: Question, before: Place | None, most: int) -> Found | Denied:
        """The newest of the own tenant's rows, or those before a place. Who has `reads` alone sees those of that kind."""
        try:
            by = await self._judge.anew(by)
            if not by.may(Permission.TRAIL):
                if not by.may(Permission.READS) or question.kind not in (None, Kind.READS):
                    return await self._rows.refuse(by, _WHAT, Denied(Reason.NOT_PERMITTED))
                question = replace(question, kind=Kind.READS)
            await self._rows.tell(by, _WHAT, "granted", question.ref or "", detail=_told(question))
            return await self._searched.found(_sought(by.tenant, question), before, most)
        except Unavailable as error:
            return self._rows.failed(by, _WHAT, error)


def _sought(tenant: str, question: Question) -> Sought:
    actions = None if question.kind is None else OF_KIND[question.kind]
    return Sought(tenant, actions, question.actor, question.call, question.ref, question.since, question.until)


def _told(question: Question) -> dict[str, str]:
    """What was searched for, as far as it can be nothing but that: what was typed as a login may be a number, or a name."""
    told = {
        "kind": question.kind, "of_call": question.call if question.call and _UNIQUE_ID.fullmatch(question.call) else None,
        "since": question.since, "until": question.until,
    }  # fmt: skip
    names = [name for name in ("actor", "call", "ref") if getattr(question, name) is not None]
    return {name: str(text) for name, text in told.items() if text} | ({"by": ",".join(names)} if names else {})
