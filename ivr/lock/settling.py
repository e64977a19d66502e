"""How proofs end: told to the trail before anybody is shown it, and to those who must look at it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from time import time
from typing import TypeVar

from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Entry, Trail
from ivr.call.proof import Proof, Stage, Way
from ivr.errors import Unavailable
from ivr.lock.carrypush import Pushes
from ivr.lock.ports import Switch
from ivr.lock.proofports import Alarms, Pages
from ivr.lock.proofwords import Proving, Speaking
from ivr.lock.recalling import Recalling
from ivr.lock.spoken import Numbers
from ivr.store.alarms import Alarm
from ivr.store.backs import Backs

T = TypeVar("T")
K = TypeVar("K")

PROOF = "proof"
"""The action of its rows."""

# Of so many is remembered what was told and said of them.
_MOST = 10_000
_EVENTS = {Stage.DENIED: "CallerDeniesUs", Stage.WRONG: "CallerKeysWrongDigits"}


class Settling:
    """A proof ends once; whoever learns of it settles it, and the trail has it once. A denial may come behind another end."""

    def __init__(
        self, pages: Pages, alarms: Alarms, switch: Switch, trail: Trail, log: FilteringBoundLogger,
        wall: Callable[[], float] = time, numbers: Numbers | None = None, backs: Backs | None = None,
        recalling: Recalling | None = None, pushes: Pushes | None = None,
    ) -> None:  # fmt: skip
        """`numbers`: None where no agent says digits; `backs` and `recalling`: where nobody shows on the page who they are; `pushes`: where no browser is anybody's."""
        self._pushes = pushes
        self._numbers = numbers
        self._backs = backs
        self._recalling = recalling
        self._pages = pages
        self._alarms = alarms
        self._switch = switch
        self._trail = trail
        self._log = log
        self._wall = wall
        self._told: dict[str, None] = {}
        self._said: dict[tuple[str, Stage], None] = {}
        self._alarmed: dict[str, None] = {}
        self._speech: dict[str, Speaking] = {}
        self._owed: dict[tuple[str, Stage], tuple[Proof, str]] = {}

    async def shown(self, person: str, node: str, channel: str) -> Proving | None:
        """The latest proof of this call, where this person has asked for it. Raises `Unavailable`.

        Of an end nobody is shown anything before the trail has it.
        """
        proof = await self._pages.of_call(node, channel)
        if proof is None or proof.person != person:
            return None
        if proof.stage.is_end and proof.id not in self._told:
            await self._tell(proof, "")
        shown, said = proof.shown, self._numbers
        back = await self._backs.of(proof.id) if self._backs is not None and shown.back else None
        if proof.way is not Way.SPOKEN or proof.stage is not Stage.SENT:
            said = None
        closed = said is not None and await said.closed_until() is not None
        return Proving(
            proof.id,
            proof.way,
            proof.stage,
            shown.phrase,
            shown.about,
            proof.until,
            self._speech.get(proof.id),
            proof.keyed,
            None if said is None or closed else said.digits_of(proof.id),
            "" if said is None else said.published,
            None if back is None else back.stage,
            closed,
        )

    async def closed_until(self) -> int | None:
        """Until when no digits are right at the published number, in seconds since the epoch; None where they are. Raises `Unavailable`."""
        return None if self._numbers is None else await self._numbers.closed_until()

    def spoken(self, id: str, speech: Speaking) -> None:
        """What has become of the digits of this one."""
        _keep(self._speech, id, speech)

    def speech(self, id: str) -> Speaking | None:
        """The same; None where nothing was said of it here."""
        return self._speech.get(id)

    async def settle(self, proof: Proof, why: str = "") -> None:
        """It has come to its end, and nobody else settles it. `why`: for the trail, a word of ours. Raises nothing.

        A row that cannot be written now is written by `again`; alarms wait for no row. What this desk does not live to tell another one
        is given to tell.
        """
        told = True
        try:
            await self._tell(proof, why)
        except Unavailable as error:
            told = False
            self._owed[proof.id, proof.stage] = proof, why
            self._log.error("proof.untold", proof=proof.id, error=str(error))
        if (proof.id, proof.stage) not in self._said:
            _keep(self._said, (proof.id, proof.stage), None)
            self._say(proof, why)
        alarmed, undone = await self._alarm(proof), await self._undone(proof)
        if alarmed and undone and told:
            await self._settled(proof)

    async def again(self) -> None:
        """Write what is owed to the trail, as far as that is possible now."""
        for proof, why in list(self._owed.values()):
            try:
                await self._tell(proof, why)
            except Unavailable:
                return
            self._owed.pop((proof.id, proof.stage), None)
            if await self._alarm(proof) and await self._undone(proof):
                await self._settled(proof)

    # ------------------------------------------------------------ inside

    def _say(self, proof: Proof, why: str) -> None:
        match proof.stage:
            case Stage.DENIED:
                self._log.warning(
                    "proof.denied", proof=proof.id, way=proof.way.value, person=proof.person, call=proof.channel
                )
            case Stage.WRONG:
                self._log.warning(
                    "proof.wrong", proof=proof.id, way=proof.way.value, person=proof.person, call=proof.channel
                )
            case Stage.FAILED:
                self._log.error("proof.failed", proof=proof.id, way=proof.way.value, why=why)
            case Stage.EXPIRED:
                self._log.info("proof.expired", proof=proof.id, way=proof.way.value, why=why)
            case _:
                self._log.info("proof.confirmed", proof=proof.id, way=proof.way.value)

    async def _settled(self, proof: Proof) -> None:
        # where Redis is away it is given to somebody again, and told once more: rows and alarms are one all the same
        with suppress(Unavailable):
            await self._pages.settled(proof)

    async def _undone(self, proof: Proof) -> bool:
        """Whether no browser is the customer's any more that has become so in a call that is denied."""
        if proof.stage is not Stage.DENIED or not proof.subject or self._pushes is None:
            return True
        try:
            count = await self._pushes.undo(proof.subject, proof.shown.since)
        except Unavailable as error:
            self._log.error("push.failed", error=str(error))
            return False
        if count:
            self._log.info("push.undone", proof=proof.id, browsers=count)
        return True

    async def _tell(self, proof: Proof, why: str) -> None:
        detail = {
            "proof": proof.id, "way": proof.way.value, "keyed": proof.keyed.value, "person": proof.person,
            "tenant": proof.tenant, "node": proof.node, **({"why": why} if why else {}),
        }  # fmt: skip
        by = (
            "page"
            if proof.way is not Way.SPOKEN and proof.stage in (Stage.CONFIRMED, Stage.DENIED, Stage.WRONG)
            else "desk"
        )
        once = f"{PROOF}:{proof.id}"
        row = Entry(by, PROOF, proof.stage.value, call=proof.channel, subject=proof.subject, detail=detail, once=once)
        stands = await self._trail.append(row)
        if proof.stage is Stage.DENIED and stands != row.outcome:
            # another end was there before: the denial stands beside it
            await self._trail.append(replace(row, once=f"{once}:late"))
        _keep(self._told, proof.id, None)

    async def _alarm(self, proof: Proof) -> bool:
        """Whether all who must look at it were told, now or before."""
        if proof.stage not in _EVENTS:
            return True
        alarm = Alarm(proof.id, proof.person, proof.stage, proof.node, proof.channel, int(self._wall()))
        fields = {"Uniqueid": proof.channel, "Subject": proof.subject, "Person": proof.person}
        ways: tuple[tuple[str, Callable[[], Awaitable[object]]], ...] = (
            ("mark", lambda: self._recall(proof)),
            ("page", lambda: self._alarms.keep(proof.tenant, alarm)),
            ("event", lambda: self._switch.event(proof.node, _EVENTS[proof.stage], fields)),
        )
        for way, tell in ways:
            one = f"{way} {proof.stage} {proof.id}"
            if one in self._alarmed:
                continue
            try:
                await tell()
            except Unavailable as error:
                self._log.error("proof.alarm_untold", proof=proof.id, error=str(error))
            else:
                _keep(self._alarmed, one, None)
        return all(f"{way} {proof.stage} {proof.id}" in self._alarmed for way, _ in ways)

    async def _recall(self, proof: Proof) -> None:
        """Whoever denies is not the one who has identified, or does not want to be: either way there is no mark."""
        if proof.stage is Stage.DENIED and self._recalling is not None:
            await self._recalling.recall(proof)


def _keep(kept: dict[K, T], id: K, what: T) -> None:
    kept[id] = what
    if len(kept) > _MOST:
        del kept[next(iter(kept))]
