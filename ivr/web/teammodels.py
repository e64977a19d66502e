"""What the API takes and gives of a team: its calls, rates, locks and reads, and what takes a second person."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ivr.lock import FIELDS, Barred, Direction, Ended, Held, Standing, State, Watched
from ivr.store.openings import Opening as Wished
from ivr.web.models import Model

FieldName = Annotated[str, Field(pattern=f"^({'|'.join(FIELDS)})$", strict=True)]


class TeamCall(Model):
    """A call of somebody's of the team. Nothing of it says who the customer is."""

    person: str
    agent: str = Field(description="The agent's name")
    node: str
    channel: str = Field(description="The caller's: its unique id on that Asterisk")
    number: str | None = Field(description="Masked; null where it is withheld")
    direction: Direction
    held: bool
    since: float = Field(description="Seconds since the epoch")
    state: State
    level: int
    until: int | None = Field(description="When the mark ends, in seconds since the epoch")


class TeamCalls(Model):
    """Those of the team, in the order of the agents' names."""

    calls: tuple[TeamCall, ...]
    next: str | None = Field(description="The `cursor` with which the next ones come; null behind the last")


class PolicyRate(Model):
    """How many verifications of a policy ended how."""

    policy: str
    verified: int
    refused: int = Field(description="Not verified: wrong, too late, or locked")
    abandoned: int = Field(description="The caller hung up")
    failed: int = Field(description="A part was down")


class VerificationRates(Model):
    """By policy, from the audit trail."""

    hour: tuple[PolicyRate, ...] = Field(description="Of the last hour")
    day: tuple[PolicyRate, ...] = Field(description="Of the last day")


class LockInForce(Model):
    """What is locked now."""

    kind: Held
    what: str | None = Field(
        description="A customer's reference, or a number that is masked; null where it is not known"
    )
    until: int | None = Field(description="Seconds since the epoch; null where somebody has to unlock it")


class LocksInForce(Model):
    """The one that ends first comes first."""

    locks: tuple[LockInForce, ...]
    next: str | None = Field(description="The `cursor` with which the next ones come; null behind the last")


class Reasoned(Model):
    """Why, in words; it stays in the audit trail. Neither a name nor a number."""

    reason: str = Field(min_length=5, max_length=200, strict=True)


class Reading(Model):
    """How many different customers' records somebody has read."""

    person: str
    hour: int = Field(description="In the last hour")
    day: int = Field(description="In the last day")
    stopped: bool = Field(description="Reads none until another person lifts it")
    warned: bool = Field(description="In the last hour it was far more than others of the team read")


class Readings(Model):
    """Of those of the own team, or of all."""

    persons: tuple[Reading, ...]
    next: str | None = Field(None, description="The `cursor` with which the next ones come; null behind the last")


class Lifted(Model):
    """Reads again; the counts begin anew."""

    person: str


class Wish(Reasoned):
    """To open these fields of one record without a call."""

    ref: str = Field(pattern=r"^[a-z0-9]{12}$", strict=True)
    fields: tuple[FieldName, ...] = Field(min_length=1, max_length=len(FIELDS))


class Opening(Model):
    """A wish to open one record without a call, or what came of it."""

    id: str
    login: str = Field(description="Who wishes for it")
    ref: str
    fields: tuple[str, ...]
    reason: str
    until: int = Field(description="When it lapses, or when the record shuts again, in seconds since the epoch")
    open: bool = Field(description="Whether another person has agreed")


class Openings(Model):
    """Those that wait for a second person."""

    openings: tuple[Opening, ...]
    next: str | None = Field(None, description="The `cursor` with which the next ones come; null behind the last")


def reading(standing: Standing) -> Reading:
    """As it is given out."""
    return Reading(
        person=standing.person, hour=standing.hour, day=standing.day, stopped=standing.stopped, warned=standing.warned
    )


def opening(wish: Wished) -> Opening:
    """As it is given out: the tenant is the asking person's own."""
    return Opening(
        id=wish.id, login=wish.login, ref=wish.ref, fields=wish.fields, reason=wish.reason, until=wish.until,
        open=wish.approved,
    )  # fmt: skip


def team_call(one: Watched) -> TeamCall:
    """As it is given out."""
    return TeamCall(
        person=one.person, agent=one.agent, node=one.call.node, channel=one.call.id, number=one.number, direction=one.direction,
        held=one.held, since=one.since, state=one.state, level=one.level, until=one.until,
    )  # fmt: skip


def rate(ended: Ended) -> PolicyRate:
    """As it is given out."""
    return PolicyRate(
        policy=ended.policy, verified=ended.verified, refused=ended.refused, abandoned=ended.abandoned, failed=ended.failed
    )  # fmt: skip


def in_force(barred: Barred) -> LockInForce:
    """As it is given out."""
    return LockInForce(kind=barred.kind, what=barred.what or None, until=barred.until)
