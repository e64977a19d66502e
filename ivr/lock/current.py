"""Whom a person has on the line, as far as it may be shown."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from time import monotonic

from ivr.asterisk.outpost import is_dialled
from ivr.call.outcome import Status
from ivr.call.ports import Waiting
from ivr.call.progress import Progress
from ivr.errors import Unavailable
from ivr.lock.decision import Caller, Ground, caller, judge, outsiders, own_talks
from ivr.lock.dialports import Calleds
from ivr.lock.judge import Judge
from ivr.lock.ports import Marks, Records, Switch, Waits
from ivr.lock.reads import Reads
from ivr.lock.rows import Rows
from ivr.lock.settling import PROOF, Settling
from ivr.lock.words import Channel, Current, Denied, Direction, Granted, Keying, Reason, State
from ivr.secret import Personal
from ivr.staff import Permission, Person
from ivr.vault import Index

# A page asks at every change; of one mark the trail is told once.
_TOLD = 10_000

_SHOWN = "record.name"


class Currents:
    """The callers of a person's talks. A name is shown as a field of the record is read: not without its row."""

    def __init__(
        self, judge: Judge, marks: Marks, records: Records, reads: Reads, rows: Rows, waits: Waits, switch: Switch,
        name_level: int, verified: Collection[str], index: Index, proofs: Settling | None = None,
        calleds: Calleds | None = None, *, peers: bool = False,
    ) -> None:  # fmt: skip
        """`name_level`: at which a name may be read; `verified`: tenants whose customers can be verified from the desk.

        `proofs`: None where nobody can prove anything; `calleds`: None where nobody calls from the desk; `peers`: whether it can be
        proved to other organisations.
        """
        self._judge = judge
        self._marks = marks
        self._records = records
        self._reads = reads
        self._rows = rows
        self._waits = waits
        self._switch = switch
        self._name_level = name_level
        self._verified = verified
        self._index = index
        self._proofs = proofs
        self._calleds = calleds
        self._peers = peers
        self._told: dict[str, None] = {}

    async def of(self, person: Person) -> tuple[Current, ...]:
        """Raises `Unavailable` where it is not known whom this person talks with, or who is marked."""
        at = monotonic()
        asked = self._judge.of_one_request(await self._judge.anew(person), at)
        ground = await asked.ground(person)
        if not ground.person.may(Permission.CALL):
            return ()
        one = caller(ground)
        shown: dict[Channel, Current] = {}
        for talk in own_talks(ground):
            for found in outsiders(ground, talk):
                # a colleague who is a marked caller as well is no caller of this person's
                if found.call not in shown and found.party.endpoint not in ground.owners:
                    seen = await self._seen(asked, ground, found, one)
                    seen = await self._dialled(ground.person, self._with_buttons(ground, found, one, seen))
                    shown[found.call] = await self._proved(ground, found, seen)
        for waited in await self._waited_for(ground.person, frozenset(shown)):
            shown[waited.call] = waited
        return tuple(shown.values())

    def _with_buttons(self, ground: Ground, found: Caller, one: Caller | Denied, seen: Current) -> Current:
        """With what this person may do: each press is judged anew."""
        may = ground.person.may(Permission.VERIFY)
        sole = isinstance(one, Caller) and one.call == found.call and len(found.talk.others) == 1
        return replace(
            seen,
            verifiable=may and sole and seen.state is not State.VERIFYING and ground.person.tenant in self._verified,
            droppable=may and found.mark is not None,
            peerable=self._peers and sole and ground.person.may(Permission.PROVE),
        )

    async def _proved(self, ground: Ground, found: Caller, seen: Current) -> Current:
        """With the proof of this call, and whether another one may be asked for; where nobody knows, neither."""
        if self._proofs is None or not ground.person.may(Permission.PROVE):
            return seen
        try:
            proof = await self._proofs.shown(ground.person.id, *found.call)
            closed = await self._proofs.closed_until()
        except Unavailable as error:
            self._rows.failed(ground.person, PROOF, error)
            return replace(seen, proof_known=False)
        sole = isinstance(caller(ground), Caller) and len(found.talk.others) == 1
        provable = sole and (proof is None or proof.stage.is_end)
        return replace(seen, proof=proof, provable=provable, digits_closed=closed)

    async def _dialled(self, person: Person, seen: Current) -> Current:
        """With the customer whom it has reached, where the desk has begun it."""
        if self._calleds is None or not is_dialled(seen.call.id):
            return seen
        called = await self._calleds.of(*seen.call)
        return seen if called is None or called.tenant != person.tenant else replace(seen, dialled=called.ref)

    async def _waited_for(self, person: Person, here: frozenset[Channel]) -> list[Current]:
        """Those who are in no talk, for they are keying; not those who are `here` again."""
        shown = []
        for endpoint in sorted(person.endpoints):
            waits, gone = await self._waits.of(endpoint)
            # a worker that has died tells of no end: it is asked who waits
            away = [one for one in waits if Channel(one.node, one.channel) not in here]
            shown += [self._waited(one) for one in away if await self._switch.waits(one.node, one.agent)]
            if gone is not None and Channel(gone.node, gone.channel) not in here:
                shown.append(replace(self._waited(gone), state=State.GONE, keying=None))
        return shown

    def _waited(self, waiting: Waiting) -> Current:
        """As it is shown: nothing is open, for nobody is on the line."""
        call = Channel(waiting.node, waiting.channel)
        keying = Keying(waiting.step, waiting.keyed, waiting.least, waiting.most)
        return Current(
            self._index.call(*call), call, waiting.number or None, False, waiting.since, State.VERIFYING, Reason.NO_CALL,
            keying=keying, ended=Status(waiting.status) if waiting.status else None,
        )  # fmt: skip

    async def _seen(self, asked: Judge, ground: Ground, found: Caller, one: Caller | Denied) -> Current:
        mark = found.mark
        number = None if found.party.number is None else found.party.number.masked
        if mark is None or mark.expires <= ground.now:
            shut = one.reason if isinstance(one, Denied) else Reason.NOT_VERIFIED if mark is None else Reason.EXPIRED
            state, ended = await self._unverified(found)
            return Current(
                self._index.call(*found.call), found.call, number, found.talk.own.held, found.party.since, state, shut, direction=direction(found), ended=ended,
            )  # fmt: skip
        verdict: Granted | Denied = judge(ground, mark.subject, 1)
        name = None
        if isinstance(verdict, Granted) and verdict.call != found.call:
            verdict = Denied(Reason.THIRD_PARTY)
        # whatever else keeps it shut: who the customer of another tenant is, and has a PIN, is none of theirs
        theirs = await self._records.in_force(ground.person.tenant, mark.subject)
        if isinstance(verdict, Granted) and not theirs:
            verdict = Denied(Reason.NOT_IN_FORCE)
        if isinstance(verdict, Granted) and await self._reads.stopped(ground.person):
            verdict = Denied(Reason.TOO_MANY_READS)
        if isinstance(verdict, Granted) and verdict.level >= self._name_level:
            name = await self._name(asked, ground.person, mark.subject, mark.nonce, verdict)
        return Current(
            self._index.call(*found.call), found.call, number, found.talk.own.held, found.party.since, State.VERIFIED,
            verdict.reason if isinstance(verdict, Denied) else None,
            mark.level, mark.methods if theirs else (), mark.expires, mark.subject if theirs else None, name, direction(found),
        )  # fmt: skip

    async def _unverified(self, found: Caller) -> tuple[State, Status | None]:
        # whoever is here again after a round in mid-call is not keying, whatever a worker that died has left behind
        if (ended := await self._waits.ended(*found.call)) is not None:
            return State.REFUSED, ended
        progress = await self._marks.progress(*found.call)
        if progress is None:
            return State.NOT_VERIFIED, None
        return (State.REFUSED, Status(progress.status)) if progress.status else (State.VERIFYING, None)

    async def _name(self, asked: Judge, person: Person, ref: str, nonce: str, granted: Granted) -> Personal | None:
        """The row, the name, and whether all is as it was; None where one of them fails."""
        once = f"{_SHOWN}:{nonce}:{person.id}"
        try:
            if once not in self._told:
                detail = {"level": str(granted.level)}
                await self._rows.tell(person, _SHOWN, "granted", ref, granted.call, once=once, detail=detail)
                self._told[once] = None
                if len(self._told) > _TOLD:
                    del self._told[next(iter(self._told))]
            held = await self._records.read(person.tenant, ref)
        except Unavailable as error:
            self._rows.failed(person, _SHOWN, error)
            return None
        again = await asked.again(person, ref, self._name_level, granted.call)
        return held.name if held is not None and isinstance(again.verdict, Granted) else None


def state_of(progress: Progress | None) -> State:
    """How far a caller without a mark is."""
    if progress is None:
        return State.NOT_VERIFIED
    return State.REFUSED if progress.status else State.VERIFYING


def direction(found: Caller) -> Direction:
    """Who has called whom: whoever is called has a channel that was made for another one's."""
    outbound = found.talk.own.first and not found.party.first
    return Direction.OUTBOUND if outbound else Direction.INBOUND
