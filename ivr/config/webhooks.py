"""The settings of webhooks: who is told, at which address, of what."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ivr.config.section import Name
from ivr.config.told import Told

Kind = Literal["call.verified", "call.refused", "mark.ended", "proof.confirmed", "proof.denied"]


class Webhook(Told):
    """A program that is told what becomes of calls, as it happens (Standard Webhooks). The desk tells it."""

    events: tuple[Kind, ...] = Field(
        ("call.verified", "call.refused", "mark.ended"), min_length=1, description="Of what it is told"
    )
    tenants: tuple[Name, ...] = Field(
        ("main",), min_length=1,
        description="Of whose calls: those that a policy of theirs verifies",
    )  # fmt: skip
    seconds: int = Field(10, ge=1, le=30, description="Seconds after which it counts as not told")
    # as long as over a weekend
    give_up_hours: int = Field(
        72, ge=1, le=720,
        description="Hours after which no more is tried, and the message is kept aside for `webhooks retry`",
    )  # fmt: skip
