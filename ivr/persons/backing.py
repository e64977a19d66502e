"""How it goes on behind a proof: somebody identifies before the page, and what follows of it in the call."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from time import time

from structlog.typing import FilteringBoundLogger

from ivr.call.beside import Beside, Conversation, Placed
from ivr.call.mark import display
from ivr.call.outcome import Failed, Outcome, Reason, Refused, Scope, Status, Verified
from ivr.call.ports import Party, Trail
from ivr.call.ports.eid import Identities, Turns
from ivr.call.proof import Proof
from ivr.config import Settings
from ivr.errors import Unavailable
from ivr.lock.ports import Switch
from ivr.lock.talking import Talking
from ivr.numbers import calling
from ivr.persons.identifying import Identifying
from ivr.secret import Secret
from ivr.store.backs import Back, Backs, BackStage
from ivr.store.customers import Customers
from ivr.store.introduction import Shows, View
from ivr.store.live import RedisLive
from ivr.store.wishes import DeskWishes

TOLD = frozenset({"over", "many", "wrong", "unavailable", "cancelled", "expired", "in_progress", "elsewhere"})
"""Why it does not go on, as far as the person is told; of all else it is told that it has failed."""

# Seconds for which a browser is shown something that nobody renews.
_SHOWN = 300
TOTP = "totp"


@dataclass(frozen=True, slots=True)
class Around:
    """What it works with. `near` is the agent's end, as far as events tell; `eids` by name."""

    settings: Settings
    store: DeskWishes
    backs: Backs
    talking: Talking
    beside: Beside
    customers: Customers
    live: RedisLive
    switch: Switch
    trail: Trail
    identities: Identities
    turns: Turns
    eids: Mapping[str, Identifying]
    near: Callable[[Proof], Party | None]
    changed: Callable[[frozenset[str]], None]
    log: FilteringBoundLogger
    wall: Callable[[], float] = time


class Backing:
    """Every method raises `Unavailable`."""

    def __init__(self, around: Around) -> None:
        self._around = around
        self._log = around.log

    async def conversation(
        self, proof: Proof, browser: str, step: str, back: Back | None = None
    ) -> tuple[Conversation, str] | None:
        """Whom the page's person talks with, anew, and the channel of that one; None where they do not, or may not so."""
        here, name = self._around, policy_of(self._around.settings, proof.tenant, step)
        caller = await here.talking.of(proof, browser, "" if back is None else back.agent)
        subject = None if caller is None else await here.customers.by_ref(proof.subject, proof.tenant)
        policy = None if subject is None else here.beside.policy(name, subject, proof.tenant)
        if caller is None or subject is None or policy is None or step not in proof.shown.back:
            return None
        name = secrets.token_urlsafe(12) if back is None else back.round
        number = caller.party.number
        number = None if number is None else calling(number.reveal(), here.settings.company.country)
        one = Conversation(proof.node, proof.channel, number, subject, policy, name, proof.id)
        return one, caller.talk.own.channel

    async def apart(self, proof: Proof, back: Back) -> Conversation | None:
        """The same of whoever talks no longer, to be told to the trail; None where there is no such customer any more."""
        here, name = self._around, policy_of(self._around.settings, proof.tenant, back.step)
        subject = await here.customers.by_ref(proof.subject, proof.tenant)
        policy = None if subject is None else here.beside.policy(name, subject, proof.tenant)
        if subject is None or policy is None:
            return None
        return Conversation(proof.node, proof.channel, None, subject, policy, back.round, proof.id)

    async def under_way(self, proof: Proof) -> bool:
        """Whether the caller's round is not over, and no mark could be placed: as long as a worker has the call, also where it connects it itself."""
        if await self._around.live.mark(proof.node, proof.channel) is not None:
            return False
        progress = await self._around.live.progress(proof.node, proof.channel)
        return progress is not None and not progress.status

    # ------------------------------------------------------------ an app's code

    def tries(self, proof: Proof) -> int:
        """How many codes may be keyed behind one proof."""
        settings = self._around.settings
        name = policy_of(settings, proof.tenant, TOTP)
        return (settings.policies[name].tries if name else None) or settings.steps.totp.tries

    async def ask_totp(self, proof: Proof, back: Back, *, wrong: bool = False) -> None:
        """Show where the code is keyed."""
        left = self.tries(proof) - back.tried
        await self.show(proof, back, Shows.TOTP, left=left, why="wrong" if wrong else "")

    # ------------------------------------------------------------ what comes of it

    async def settled(self, proof: Proof, back: Back, one: Conversation, outcome: Outcome) -> str:
        """Have it decided, and the mark announced; empty where it is known who that is, else why not."""
        here = self._around

        async def still() -> bool:
            caller = await here.talking.of(proof, back.session, back.agent)
            return caller is not None and not await here.live.barred(one.subject.key)

        verdict = await here.beside.settle(one, outcome, still)
        if isinstance(verdict, Refused):
            if isinstance(outcome, Failed) and outcome.reason is not Reason.DENIED:
                await self._tried(one, self._tell_of_lock(one))
            return {Status.UNAVAILABLE: "unavailable", Status.ABANDONED: "over"}.get(verdict.status, "failed")
        level = verdict.level if isinstance(verdict, Verified) else verdict.mark.level
        if isinstance(verdict, Placed):
            if not await self._kept(proof, back, verdict):
                await self._undone(back, one, verdict)
                return "over"
            if not await self._announced(back, one, verdict):
                return "unavailable"
        await here.backs.change(proof.id, _of_session(back, lambda now: replace(now, stage=BackStage.KNOWN)))
        self._log.info("back.verified", proof=proof.id, step=back.step, subject=one.subject.ref, assurance=level)
        await self.show(proof, back, Shows.KNOWN)
        here.changed(frozenset({proof.endpoint}))
        return ""

    async def over(self, proof: Proof, back: Back, why: str) -> None:
        """It does not go on."""
        ended = await self._around.backs.change(
            proof.id,
            lambda now: (
                replace(now, stage=BackStage.REFUSED, why=why)
                if now is not None and now.round == back.round and now.stage in (BackStage.IDENTIFYING, BackStage.SETTLING)
                else None
            ),
        )  # fmt: skip
        if ended is None:
            return
        self._log.info("back.refused", proof=proof.id, step=back.step, why=why)
        await self.show(proof, ended, Shows.REFUSED, why=why if why in TOLD else "failed")
        self._around.changed(frozenset({proof.endpoint}))

    # ------------------------------------------------------------ inside

    async def _announced(self, back: Back, one: Conversation, placed: Placed) -> bool:
        """The mark before its announcement; where it is not announced, or is gone by then, there is none, and one of before stands again."""
        here, mark = self._around, placed.mark
        try:
            if await here.switch.show(mark, back.agent, display(one.subject.name)):
                stands = await here.live.mark(mark.node, mark.channel)
                if stands is not None and stands.nonce == mark.nonce:
                    fields = {"Uniqueid": mark.channel, **mark.variables()}
                    await self._tried(one, here.switch.event(mark.node, "CallerAuthenticated", fields))
                    return True
        except Unavailable as error:
            self._log.error("back.failed", proof=one.proof, error=str(error))
        await self._undone(back, one, placed)
        return False

    async def _kept(self, proof: Proof, back: Back, placed: Placed) -> bool:
        """Whoever denies finds the mark by this, from now on; False where somebody has done so before, or it cannot be kept."""
        here, nonce = self._around, placed.mark.nonce
        try:
            kept = await here.backs.change(proof.id, _of_session(back, lambda now: replace(now, mark=nonce)))
            return kept is not None and await here.talking.answered(proof, back.session)
        except Unavailable as error:
            self._log.error("back.failed", proof=proof.id, error=str(error))
            return False

    async def _undone(self, back: Back, one: Conversation, placed: Placed) -> None:
        """What was announced follows the mark."""
        here = self._around
        before = await here.beside.undo(one, placed)
        if before is None:
            await self._tried(one, here.switch.unmark(one.node, one.channel, back.agent))
        else:
            await self._tried(one, here.switch.show(before, back.agent, display(one.subject.name)))

    async def _tell_of_lock(self, one: Conversation) -> None:
        """Administrators hear of a lock that this try has begun, as of one in a call."""
        lock = await self._around.beside.may(one)
        if lock is None or lock.scope is Scope.CALL:
            return
        seconds = "" if lock.seconds is None else str(lock.seconds)
        fields = {"Uniqueid": one.channel, "Scope": lock.scope.value, "Seconds": seconds, "Subject": one.subject.ref}
        await self._around.switch.event(one.node, "CallerLockedOut", fields)

    async def _tried(self, one: Conversation, work: Awaitable[object]) -> None:
        try:
            await work
        except Unavailable as error:
            self._log.error("back.failed", proof=one.proof, error=str(error))

    async def show(
        self, proof: Proof, back: Back, shows: Shows, *, seconds: float | None = None, left: int = 0, why: str = "",
        link: Secret | None = None, qr: Secret | None = None,
    ) -> None:  # fmt: skip
        """To the browser that has begun it; `seconds`: for so long, where somebody renews it."""
        empty = Secret("")
        view = View(
            shows, proof.shown.language, int(self._around.wall()) + _SHOWN, back.step, link=link or empty, qr=qr or empty,
            left=left, why=why,
        )  # fmt: skip
        await self._around.store.show(back.session, view, seconds)


def policy_of(settings: Settings, tenant: str, step: str) -> str:
    """The name of the policy by which this tenant's customers show it so; empty where there is none."""
    found = (name for name in settings.prove.back if settings.policies[name].tenant == tenant)
    return next((name for name in found if settings.policies[name].steps == (step,)), "")


def _of_session(back: Back, how: Callable[[Back], Back]) -> Callable[[Back | None], Back | None]:
    """The change, where it is still this browser's."""
    return lambda now: None if now is None or now.session != back.session else how(now)
