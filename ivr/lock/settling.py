"""How proofs end: told to the trail before anybody is shown it, and to those who must look at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import time
from typing import TypeVar

from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Entry, Trail
from ivr.call.proof import Proof, Stage
from ivr.errors import Unavailable
from ivr.lock.ports import Switch
from ivr.lock.proofports import Alarms, Pages
from ivr.lock.proofwords import Proving, Speaking
from ivr.store.alarms import Alarm

T = TypeVar("T")

PROOF = "proof"
"""The action of its rows."""

# Of so many is remembered what was told and said of them.
_MOST = 10_000
_EVENTS = {Stage.DENIED: "CallerDeniesUs", Stage.WRONG: "CallerKeysWrongDigits"}


class Settling:
    """A proof ends once; whoever learns of it settles it, and the trail has it once. A denial may come behind another end."""

    def __init__(
        self, pages: Pages, alarms: Alarms, switch: Switch, trail: Trail, log: FilteringBoundLogger,
        wall: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        self._pages = pages
        self._alarms = alarms
        self._switch = switch
        self._trail = trail
        self._log = log
        self._wall = wall
        self._told: dict[str, None] = {}
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
        shown = proof.shown
        return Proving(
            proof.id,
            proof.way,
            proof.stage,
            shown.phrase,
            shown.about,
            proof.until,
            self._speech.get(proof.id),
            proof.keyed,
        )

    def spoken(self, id: str, speech: Speaking) -> None:
        """What has become of the digits of this one."""
        _keep(self._speech, id, speech)

    def speech(self, id: str) -> Speaking | None:
        """The same; None where nothing was said of it here."""
        return self._speech.get(id)

    async def settle(self, proof: Proof, why: str = "") -> None:
        """It has come to its end, and nobody else settles it. `why`: for the trail, a word of ours. Raises nothing.

        A row that cannot be written now is written by `again`; alarms wait for no row.
        """
        try:
            await self._tell(proof, why)
        except Unavailable as error:
            self._owed[proof.id, proof.stage] = proof, why
            self._log.error("proof.untold", proof=proof.id, error=str(error))
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
        if proof.stage in _EVENTS:
            await self._alarm(proof)

    async def again(self) -> None:
        """Write what is owed to the trail, as far as that is possible now."""
        for proof, why in list(self._owed.values()):
            try:
                await self._tell(proof, why)
            except Unavailable:
                return
            self._owed.pop((proof.id, proof.stage), None)

    # ------------------------------------------------------------ inside

    async def _tell(self, proof: Proof, why: str) -> None:
        detail = {
            "proof": proof.id, "way": proof.way.value, "keyed": proof.keyed.value, "person": proof.person,
            "tenant": proof.tenant, "node": proof.node, **({"why": why} if why else {}),
        }  # fmt: skip
        by = "page" if proof.stage in (Stage.CONFIRMED, Stage.DENIED, Stage.WRONG) else "desk"
        once = f"{PROOF}:{proof.id}"
        row = Entry(by, PROOF, proof.stage.value, call=proof.channel, subject=proof.subject, detail=detail, once=once)
        stands = await self._trail.append(row)
        if proof.stage is Stage.DENIED and stands != row.outcome:
            # another end was there before: the denial stands beside it
            await self._trail.append(replace(row, once=f"{once}:late"))
        _keep(self._told, proof.id, None)

    async def _alarm(self, proof: Proof) -> None:
        alarm = Alarm(proof.id, proof.person, proof.stage, proof.node, proof.channel, int(self._wall()))
        fields = {"Uniqueid": proof.channel, "Subject": proof.subject, "Person": proof.person}
        for told in (
            self._alarms.keep(proof.tenant, alarm),
            self._switch.event(proof.node, _EVENTS[proof.stage], fields),
        ):
            try:
                await told
            except Unavailable as error:
                self._log.error("proof.alarm_untold", proof=proof.id, error=str(error))


def _keep(kept: dict[str, T], id: str, what: T) -> None:
    kept[id] = what
    if len(kept) > _MOST:
        del kept[next(iter(kept))]
