"""What the supervisor's page shows, in words: the page itself decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from ivr.lock import Barred, Ended, Standing, State, Statistics, Watched
from ivr.store.alarms import Alarm
from ivr.store.openings import Opening
from ivr.web.words import Words


class TeamCall(TypedDict):
    """`sign` picks colour and shape; `since` and `until` are seconds since the epoch, counted by the page."""

    id: str
    agent: str
    sign: str
    title: str
    number: str
    direction: str
    held: bool
    since: float
    until: int | None


class Rate(TypedDict):
    """Of a policy. `share`: of those that were not broken off by a fault, how many were verified, in percent."""

    policy: str
    verified: int
    refused: int
    abandoned: int
    failed: int
    share: int | None


class Lock(TypedDict):
    kind: str
    what: str
    until: int | None


class Reader(TypedDict):
    id: str
    name: str
    told: str


class Wish(TypedDict):
    id: str
    login: str
    ref: str
    fields: str
    reason: str
    until: int


class Raised(TypedDict):
    """`since`: when, in seconds since the epoch."""

    id: str
    name: str
    told: str
    since: float


class TeamView(TypedDict):
    """`known`: whether it is known who talks. `hour`, `day`, `locks`: None where they are not known, or not this person's; `alarms`: None where they are not known."""

    known: bool
    calls: list[TeamCall]
    hour: list[Rate] | None
    day: list[Rate] | None
    locks: list[Lock] | None
    stopped: list[Reader]
    warned: list[Reader]
    alarms: list[Raised] | None
    wishes: list[Wish]


UNKNOWN: TeamView = {
    "known": False, "calls": [], "hour": None, "day": None, "locks": None, "stopped": [], "warned": [], "alarms": [], "wishes": [],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """What the view is made of. `striking`: who was stopped, or warned of; `names`: theirs, and of whom there are alarms, by their ids."""

    calls: Sequence[Watched]
    statistics: Statistics | None
    barred: Sequence[Barred] | None
    striking: Sequence[Standing]
    names: Mapping[str, str]
    wishes: Sequence[Opening]
    alarms: Sequence[Alarm] | None = ()


def view(seen: Seen, words: Words) -> TeamView:
    """In this language."""
    return {
        "known": True,
        "calls": [_call(one, words) for one in seen.calls],
        "hour": None if seen.statistics is None else [_rate(one) for one in seen.statistics.hour],
        "day": None if seen.statistics is None else [_rate(one) for one in seen.statistics.day],
        "locks": None if seen.barred is None else [_lock(one, words) for one in seen.barred],
        "stopped": [_reader(one, seen.names, words) for one in seen.striking if one.stopped],
        "warned": [_reader(one, seen.names, words) for one in seen.striking if not one.stopped],
        "alarms": None if seen.alarms is None else [
            Raised(id=one.id, name=seen.names[one.person], told=words(f"team.alarm_{one.stage.value}"), since=one.at)
            for one in seen.alarms
        ],
        "wishes": [
            Wish(
                id=one.id, login=one.login, ref=one.ref, fields=", ".join(words(f"field.{name}") for name in one.fields),
                reason=one.reason, until=one.until,
            )
            for one in seen.wishes
        ],
    }  # fmt: skip


def _reader(one: Standing, names: Mapping[str, str], words: Words) -> Reader:
    return Reader(id=one.person, name=names[one.person], told=words("team.read", hour=one.hour, day=one.day))


def _call(one: Watched, words: Words) -> TeamCall:
    return TeamCall(
        id=f"{one.person}/{one.call.node}/{one.call.id}",
        agent=one.agent,
        sign=one.state.value,
        title=words("desk.verified", level=one.level)
        if one.state is State.VERIFIED
        else words(f"desk.{one.state.value}"),
        number=one.number or words("desk.withheld"),
        direction=words(f"desk.{one.direction.value}"),
        held=one.held,
        since=one.since,
        until=one.until,
    )


def _rate(ended: Ended) -> Rate:
    through = ended.verified + ended.refused + ended.abandoned
    return Rate(
        policy=ended.policy, verified=ended.verified, refused=ended.refused, abandoned=ended.abandoned, failed=ended.failed,
        share=round(100 * ended.verified / through) if through else None,
    )  # fmt: skip


def _lock(barred: Barred, words: Words) -> Lock:
    return Lock(
        kind=words(f"team.lock_{barred.kind.value}"), what=barred.what or words("team.not_known"), until=barred.until
    )
