"""Whether a person may see or change a customer's data now. It asks nobody and reads no clock."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from ivr.call.mark import Mark
from ivr.call.ports import Party, Talk
from ivr.lock.words import Channel, Denied, Granted, Reason
from ivr.staff import Permission, Person
from ivr.store.sealing import endpoint_key


@dataclass(frozen=True, slots=True)
class Ground:
    """What is known at one moment, `now` in seconds since the epoch.

    `talks` are those of the person's endpoints, `owners` whose phones are in them, `marks` those of all channels in them,
    the person's own included.
    """

    person: Person
    talks: Collection[Talk]
    owners: Mapping[str, Person]
    marks: Mapping[Channel, Mark]
    now: float


@dataclass(frozen=True, slots=True)
class Caller:
    """The one with whom the person talks. The mark may have ended, or may be missing."""

    talk: Talk
    party: Party
    mark: Mark | None

    @property
    def call(self) -> Channel:
        """The channel that the mark is bound to."""
        return Channel(self.talk.node, self.party.channel)


def caller(ground: Ground) -> Caller | Denied:
    """The one caller of this person.

    Where a phone is joined with somebody from outside, whoever is on hold at another one is out of it; else whoever is on
    hold is waited for: an agent asks a colleague, or looks something up. More than one is too many, for who hears the one
    would hear of the other.
    """
    if not ground.person.may(Permission.CALL):
        return Denied(Reason.NOT_PERMITTED)
    own = own_talks(ground)
    spoken_with = [one for talk in own if not talk.own.held for one in outsiders(ground, talk)]
    heard = spoken_with or [one for talk in own for one in outsiders(ground, talk)]
    if not heard:
        return Denied(Reason.NO_CALL)
    first = heard[0]
    # a phone that is somebody's here, and yet no colleague's, or one that was verified: it is not known as whom it listens
    if len({one.call for one in heard}) > 1 or first.party.endpoint in ground.owners:
        return Denied(Reason.THIRD_PARTY)
    return first


def own_talks(ground: Ground) -> list[Talk]:
    """Those of phones that are this person's, and nobody else's."""
    return [talk for talk in ground.talks if _is_own(ground, talk.own.endpoint)]


def outsiders(ground: Ground, talk: Talk) -> Iterator[Caller]:
    """Those of a talk who are neither the person nor a colleague; and whoever bears a mark, for that is a caller."""
    for party in (talk.own, *talk.others):
        mark = ground.marks.get(Channel(talk.node, party.channel))
        if mark is not None or not _is_colleague(ground, party.endpoint):
            yield Caller(talk, party, mark)


def judge(ground: Ground, ref: str, level: int) -> Granted | Denied:
    """Whether this customer is the person's caller at this level. That the customer is still in force is asked by who calls."""
    return judge_caller(ground, caller(ground), ref, level)


def judge_caller(ground: Ground, found: Caller | Denied, ref: str, level: int) -> Granted | Denied:
    """The same of what `caller` has found."""
    if isinstance(found, Denied):
        return found
    if found.mark is None:
        return Denied(Reason.NOT_VERIFIED)
    return _covers(ground, found.call, found.mark, ref, level)


def _covers(ground: Ground, call: Channel, mark: Mark, ref: str, level: int) -> Granted | Denied:
    if (mark.node, mark.channel) != call:
        return Denied(Reason.NOT_VERIFIED)
    if mark.expires <= ground.now:
        return Denied(Reason.EXPIRED)
    if not ref or mark.subject != ref:
        return Denied(Reason.OTHER_CUSTOMER)
    # a mark of level 0 would be no mark, whatever is asked for
    if mark.level < max(level, 1):
        return Denied(Reason.LEVEL, needs=level)
    return Granted(call, mark.level, mark.expires)


def _is_own(ground: Ground, endpoint: str) -> bool:
    """Whether it is the person's by both: by the phone's owner, and by what the person has."""
    owner = ground.owners.get(endpoint)
    theirs = {endpoint_key(one) for one in ground.person.endpoints}
    return owner is not None and owner.id == ground.person.id and endpoint_key(endpoint) in theirs


def _is_colleague(ground: Ground, endpoint: str) -> bool:
    """Whether it is a phone of somebody who works here, the person's own included."""
    owner = ground.owners.get(endpoint)
    return owner is not None and owner.tenant == ground.person.tenant and not owner.disabled
