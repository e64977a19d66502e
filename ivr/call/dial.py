"""A call that somebody begins at the desk: how far it is, and whom it has reached."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DialStage(StrEnum):
    """How far it is, and how it ended."""

    ASKED = "asked"
    AGENT = "agent"
    """The agent's own phone rings."""
    CUSTOMER = "customer"
    """The customer's phone is called."""
    ANSWERED = "answered"
    AGENT_AWAY = "agent_away"
    """The agent's phone is not there, is busy, or was not answered."""
    AGENT_GAVE_UP = "agent_gave_up"
    """The agent has hung up before the customer has answered."""
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    DECLINED = "declined"
    FAILED = "failed"
    """The trunk did not take it, the number leads nowhere, or a part is down."""
    CANCELLED = "cancelled"

    @property
    def is_end(self) -> bool:
        """Whether nothing comes behind it."""
        return self not in (DialStage.ASKED, DialStage.AGENT, DialStage.CUSTOMER)


@dataclass(frozen=True, slots=True)
class Dialling:
    """One of them. `ref`: the customer's reference; `endpoint`: the phone that rings first."""

    id: str
    ref: str
    endpoint: str
    stage: DialStage = DialStage.ASKED


@dataclass(frozen=True, slots=True)
class Called:
    """The customer whom it has reached. `phone`: which of the telephone numbers on record, from 1 on. Who has answered, nobody knows."""

    tenant: str
    ref: str
    phone: int
