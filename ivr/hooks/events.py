"""What the audit trail tells of a call, as others are told of it: no name, no number, and no reference of whom nobody has verified."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from ivr.call.outcome import Status
from ivr.call.proof import Stage
from ivr.lock.words import Channel
from ivr.vault import Index

VERIFIED, REFUSED, ENDED = "call.verified", "call.refused", "mark.ended"
CONFIRMED, DENIED = "proof.confirmed", "proof.denied"

VERIFY, DROP, VOID, PROVE = "verify", "mark.drop", "mark.void", "proof"
"""Rows of these actions are looked at."""

DROPPED = frozenset({"over", "wrong_person"})
"""Outcomes of `mark.drop` by which a mark was taken away."""

_PASSED = ":passed"
_PROOFS = {Stage.CONFIRMED.value: CONFIRMED, Stage.DENIED.value: DENIED}


@dataclass(frozen=True, slots=True)
class Event:
    """`id` is the same whenever it is made of the same row. `at`: seconds since the epoch. `tenant`: whose call it was."""

    id: str
    kind: str
    call: Channel
    at: int
    data: Mapping[str, Any]
    tenant: str

    def body(self, index: Index) -> str:
        """As it is sent (Standard Webhooks); `index` says what the API calls the call."""
        stamp = datetime.fromtimestamp(self.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        call = {"call": index.call(*self.call), "node": self.call.node, "channel": self.call.id}
        return orjson.dumps({"type": self.kind, "timestamp": stamp, "data": {**call, **self.data}}).decode()


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the trail, as far as it is looked at."""

    chain: str
    seq: int
    hash: str
    at: str
    action: str
    outcome: str
    call: str
    subject: str
    detail: Mapping[str, str]

    @property
    def channel(self) -> Channel | None:
        """None where it tells of no channel."""
        node = self.detail.get("node", "")
        return Channel(node, self.call) if node and self.call else None

    @property
    def seconds(self) -> int:
        """When it happened, in seconds since the epoch."""
        return int(datetime.fromisoformat(self.detail.get("happened") or self.at).timestamp())


def of(row: Row, tenant: str) -> Event | None:
    """How a verification or a proof ended, where the row tells of that. `tenant`: whose call it was."""
    call = row.channel
    if row.action == PROVE and call is not None and row.outcome in _PROOFS:
        # the message went to the number on record of this customer, and was answered there
        proof = {name: row.detail.get(name, "") for name in ("proof", "way", "person")}
        told = {"customer": row.subject, **proof}
        return Event(_id(row.chain, str(row.seq), row.hash), _PROOFS[row.outcome], call, row.seconds, told, tenant)
    if row.action != VERIFY or call is None:
        return None
    said = {"policy": row.detail.get("policy", ""), "round": row.detail.get("round", "")}
    if row.outcome == Status.VERIFIED.value:
        passed = [
            step.removesuffix(_PASSED) for step in row.detail.get("steps", "").split(",") if step.endswith(_PASSED)
        ]
        level = int(row.detail.get("level", "0"))
        data = {"customer": row.subject, "level": level, "methods": passed, **said}
        return Event(_id(row.chain, str(row.seq), row.hash), VERIFIED, call, row.seconds, data, tenant)
    data = {"outcome": row.outcome, **said}
    return Event(_id(row.chain, str(row.seq), row.hash), REFUSED, call, row.seconds, data, tenant)


def ended(verified: str, call: Channel, subject: str, reason: str, at: int, tenant: str) -> Event:
    """That a mark is gone; `verified` is the message that told of it, `tenant` whose call it was."""
    data = {"customer": subject, "reason": reason, "verified": verified}
    return Event(_id("ended", verified), ENDED, call, at, data, tenant)


def _id(*of: str) -> str:
    # the hash, for behind a backup that was put back a number is given anew, and it is another row
    return f"msg_{hashlib.blake2b('/'.join(of).encode(), digest_size=12).hexdigest()}"
