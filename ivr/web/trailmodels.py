"""What the API takes and gives of the audit trail."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from ivr.lock import Kind, Noted
from ivr.web import paging
from ivr.web.models import Model

ACTOR = r"[A-Za-z0-9._@:/-]{1,80}"
CALL = r"[A-Za-z0-9_.:@/-]{1,150}"
REF = r"[a-z2-7]{12}"
TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?Z?)?"
"""Of UTC: a day, or a moment."""

QUERY: Mapping[str, Mapping[str, object]] = {
    "kind": {"description": "What they tell of", "schema": {"type": "string", "enum": list(Kind)}},
    "actor": {"description": "A login, or part of it", "schema": {"type": "string", "pattern": f"^{ACTOR}$"}},
    "call": {"description": "The call's unique id on its Asterisk", "schema": {"type": "string", "pattern": f"^{CALL}$"}},
    "ref": {"description": "The customer, or the person, by reference", "schema": {"type": "string", "pattern": f"^{REF}$"}},
    "since": {"description": "From this day or moment on, UTC", "schema": {"type": "string", "pattern": f"^{TIME}$"}},
    "until": {"description": "Before it", "schema": {"type": "string", "pattern": f"^{TIME}$"}},
    **paging.QUERY,
}  # fmt: skip
"""As the OpenAPI file has them."""


class TrailRow(Model):
    """Somebody did something, and how it ended. Nothing secret, numbers masked."""

    at: str = Field(description="ISO 8601, UTC")
    chain: str = Field(description="Of which process")
    seq: int = Field(description="Its number there")
    actor: str
    action: str
    outcome: str
    call: str = Field(description="Unique id of the caller's channel; empty where it is about no call")
    subject: str = Field(
        description="The customer or the person whom it is about, by reference; empty where there is none"
    )
    detail: dict[str, str]
    sound: bool = Field(
        description="Whether it is as it was written, and the next one of its chain follows it. `audit verify` looks at all of them"
    )


class TrailPiece(Model):
    """The newest rows first. There may be fewer than asked for, or none, and more behind them: `next` says so."""

    rows: tuple[TrailRow, ...]
    next: str | None = Field(description="The `cursor` with which the search goes on; null behind the oldest")


def row(noted: Noted) -> TrailRow:
    """As it is given out."""
    return TrailRow(
        at=noted.place.at, chain=noted.place.chain, seq=noted.place.seq, actor=noted.actor, action=noted.action, outcome=noted.outcome,
        call=noted.call, subject=noted.subject, detail=dict(noted.detail), sound=noted.sound,
    )  # fmt: skip
