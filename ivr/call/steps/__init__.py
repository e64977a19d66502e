"""The ways of verifying, one file each. A new one is a file with a class and its line here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from structlog.typing import FilteringBoundLogger

from ivr.call.keypad import Keypad
from ivr.call.outcome import Factor, Outcome
from ivr.call.ports import Attempt, Clock, Codes, Dispatch, Live, Pins, Proofs, Subject, Texts, Totps, Trail
from ivr.call.ports.eid import Eid, Identities, Turns
from ivr.call.progress import Held
from ivr.config import Settings


@dataclass(frozen=True, slots=True)
class Tools:
    """What steps work with; the same for all calls of a worker. `dispatch`: where there is a second gateway."""

    settings: Settings
    live: Live
    pins: Pins
    totps: Totps
    codes: Codes
    texts: Texts
    proofs: Proofs
    trail: Trail
    clock: Clock
    eids: Mapping[str, Eid]
    identities: Identities
    turns: Turns
    dispatch: Dispatch | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """One caller before one step. With `other_customer` the step may let the caller say so. `number`: where the call comes from, masked. `tries` and `code_seconds` are the policy's, where it has its own; `went_wrong` notes a wrong try; `denied` tells that whoever was asked is not in this call. `caller_began`: the caller has called us, and we not them. In `held` stands what was done of the step before another worker took the call up."""

    keypad: Keypad
    subject: Subject
    attempt: Attempt
    held: Held
    purpose: str
    log: FilteringBoundLogger
    went_wrong: Callable[[], Awaitable[None]]
    denied: Callable[[], Awaitable[None]]
    caller_began: bool = True
    tries: int | None = None
    code_seconds: int | None = None
    other_customer: bool = False
    number: str = ""


class Step(Protocol):
    """One way of verifying, run once."""

    name: ClassVar[str]
    factor: ClassVar[Factor]

    def __init__(self, tools: Tools) -> None: ...

    async def run(self, round: Round) -> Outcome:
        """Ask, count, compare. Raises `CallError`; a subject that is not known never passes."""
        ...


def all_steps() -> Mapping[str, type[Step]]:
    """The steps by the names that policies give them."""
    from ivr.call.steps.bankid import BankIdStep
    from ivr.call.steps.ciba import CibaStep
    from ivr.call.steps.freja import FrejaStep
    from ivr.call.steps.pin import PinStep
    from ivr.call.steps.sms_code import SmsCodeStep
    from ivr.call.steps.sms_link import SmsLinkStep
    from ivr.call.steps.totp import TotpStep

    return {step.name: step for step in (PinStep, SmsCodeStep, SmsLinkStep, TotpStep, BankIdStep, FrejaStep, CibaStep)}
