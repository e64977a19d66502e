"""Takes away the mark of whoever was shown who we are and has identified behind it, where the person denies since that it was they."""

from __future__ import annotations

from dataclasses import replace

from structlog.typing import FilteringBoundLogger

from ivr.call.outcome import Status
from ivr.call.ports import Entry, Trail
from ivr.call.proof import Proof
from ivr.errors import Unavailable
from ivr.lock.ports import Marks, Switch
from ivr.store.backs import Back, Backs, BackStage

_DENIED = "denied"


class Recalling:
    """It may be asked again as often as a part was down."""

    def __init__(self, backs: Backs, marks: Marks, switch: Switch, trail: Trail, log: FilteringBoundLogger) -> None:
        self._backs = backs
        self._marks = marks
        self._switch = switch
        self._trail = trail
        self._log = log

    async def recall(self, proof: Proof) -> None:
        """The mark that was placed behind this proof, and no other. Raises `Unavailable`."""
        back = await self._backs.of(proof.id)
        if back is None or not back.mark:
            return
        mark = await self._marks.mark(proof.node, proof.channel)
        stands = mark is not None and mark.nonce == back.mark
        if not stands and back.why != _DENIED:
            return
        # noted first: the row is owed from now on, whatever fails
        await self._change(back, replace(back, why=_DENIED))
        if mark is not None and stands:
            await self._marks.take_away(mark)
        detail = {"node": proof.node, "policy": back.policy, "lock": "", "tenant": proof.tenant}
        await self._trail.append(
            Entry(
                "desk", "mark.void", Status.ABANDONED.value, call=proof.channel, subject=proof.subject, detail=detail,
                once=f"{back.round}:void",
            )
        )  # fmt: skip
        try:
            await self._switch.unmark(proof.node, proof.channel, back.agent)
        except Unavailable as error:
            # the lock does not go by it
            self._log.error("midcall.not_shown", person=proof.person, call=proof.channel, error=str(error))
        await self._change(back, replace(back, stage=BackStage.REFUSED, why=_DENIED, mark=""))

    async def _change(self, back: Back, now: Back) -> None:
        await self._backs.change(proof=back.proof, how=lambda found: now if found and found.mark == back.mark else None)
