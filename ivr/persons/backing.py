"""How it goes on behind a proof: somebody identifies before the page, and what follows of it in the call."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic, time
from typing import Literal

from structlog.typing import FilteringBoundLogger

from ivr.call.beside import Beside, Conversation, Placed
from ivr.call.mark import display
from ivr.call.outcome import Factor, Failed, Outcome, Passed, Reason, Refused, Status, Verified
from ivr.call.ports import Entry, Party, Trail
from ivr.call.ports.eid import Done, EidAsked, Ended, Identities, Let, Order, Turns
from ivr.call.proof import Proof
from ivr.call.steps.eid import Provider, provider
from ivr.config import Settings
from ivr.errors import Unavailable
from ivr.lock.ports import Switch
from ivr.lock.talking import Talking
from ivr.persons.identifying import Identifying
from ivr.persons.taking import Taking
from ivr.prompts import text
from ivr.secret import Secret
from ivr.store.backs import Back, Backs, BackStage
from ivr.store.customers import Customers
from ivr.store.introduction import Shows, View, Wish
from ivr.store.live import RedisLive
from ivr.store.wishes import DeskWishes

TOLD = frozenset({"over", "many", "wrong", "unavailable", "cancelled", "expired", "in_progress", "elsewhere"})
"""Why it does not go on, as far as the person is told; of all else it is told that it has failed."""

# Behind the longest life of an order: until its provider has it.
_LATE = 30.0
# Seconds after which a call counts as ended: two are parted for a moment where Asterisk takes a Local channel out.
_GONE = 2.0
# Seconds for which a browser is shown something that nobody renews, and what is renewed as long as the app is asked for.
_SHOWN, _RENEWED = 300, 15.0
# Seconds in which an order that counts no longer is taken back at its provider, and between two looks.
_HANDED_ON, _LOOK = 3.0, 0.1
# The only level that an electronic identity is worth.
_LEVEL = 3


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
        one = Conversation(proof.node, proof.channel, caller.party.number, subject, policy, name, proof.id)
        return one, caller.talk.own.channel

    # ------------------------------------------------------------ an app's code

    async def ask_totp(self, proof: Proof, back: Back, *, wrong: bool = False) -> None:
        """Show where the code is keyed."""
        left = self._around.settings.steps.totp.tries - back.tried
        await self._show(proof, back, Shows.TOTP, left=left, why="wrong" if wrong else "")

    # ------------------------------------------------------------ an electronic identity

    async def identify(
        self, proof: Proof, back: Back, one: Conversation, nonce: Secret | None, wish: Wish, taking: Taking
    ) -> None:
        """Have the customer asked for, before the browser that wants it. `nonce`: what the app is to bring back to that browser."""
        here, asked = self._around, provider(self._around.settings, back.step)
        identifying = here.eids[asked.name]
        who = await here.identities.of(one.subject, asked.kind)
        if who is None:
            self._log.info("eid.nobody", step=back.step)
            await self.over(proof, back, "failed")
            return
        let = await self._turn(back, asked.kind, who, identifying.life + _LATE)
        if let is None:
            await self._row(proof, one, asked, "in_progress")
            await self.over(proof, back, "in_progress")
            return
        try:
            order = await self._asked(proof, back, one, asked, who, nonce, wish)
        except Unavailable:
            await let()
            raise
        if order is None:
            await let()
            return
        taking.do(self._followed(proof, back, one, asked, who, order, let))

    async def _turn(self, back: Back, kind: str, who: Secret, seconds: float) -> Let | None:
        """The person's turn; what was begun before it behind the same proof, by whoever taps twice, lets go of its own within a moment."""
        take, until = self._around.turns.take, monotonic() + (_HANDED_ON if back.began > 1 else 0.0)
        while (let := await take(kind, who, seconds)) is None and monotonic() < until:
            await asyncio.sleep(_LOOK)
        return let

    async def _asked(
        self, proof: Proof, back: Back, one: Conversation, asked: Provider, who: Secret, nonce: Secret | None, wish: Wish
    ) -> Order | None:  # fmt: skip
        """The order, where there is one; none is made of which the trail cannot be told before."""
        here = self._around
        if (lock := await here.beside.count(one)) is not None:
            await self.over(proof, back, await self.settled(proof, back, one, lock))
            return None
        await self._row(proof, one, asked, "asked")
        shown = text("eid_back", proof.shown.language, company=here.settings.company.name, agent=proof.shown.agent)
        start: Literal["phone", "same_device", "qr"] = "qr" if back.qr else "same_device"
        if back.step == "freja":
            start = "phone"
        url = f"{(here.settings.page.url or '').rstrip('/')}/p/{{link}}/me/app/{{nonce}}"
        place = None if nonce is None else nonce.within(wish.field("link").within(url, "{link}").reveal(), "{nonce}")
        order = await here.eids[asked.name].begin(
            EidAsked(who, not proof.shown.outbound, shown, one.round, start, wish.address, place)
        )
        if isinstance(order, Ended):
            await self._ended(proof, back, one, asked, order.why)
            return None
        self._log.info("eid.asked", step=back.step)
        await self._shown(proof, back, order, 0.0)
        return order

    async def _shown(self, proof: Proof, back: Back, order: Order, age: float) -> bool:
        """Whether it counts yet."""
        now = await self._around.backs.of(proof.id)
        if now is None or now.round != back.round or now.stage is not BackStage.IDENTIFYING:
            return False
        if now.brought:
            await self._show(proof, now, Shows.MOMENT, seconds=_RENEWED)
        elif now.step == "freja":
            await self._show(proof, now, Shows.ASKED, seconds=_RENEWED)
        else:
            empty = Secret("")
            link = empty if now.qr or order.link is None else order.link
            qr = order.qr(age) if now.qr and order.qr is not None else empty
            await self._show(proof, now, Shows.APP, seconds=_RENEWED, link=link, qr=qr)
        return True

    async def _followed(
        self, proof: Proof, back: Back, one: Conversation, asked: Provider, who: Secret, order: Order, let: Let
    ) -> None:  # fmt: skip
        seen = monotonic()

        async def show(order: Order, age: float) -> bool:
            nonlocal seen
            seen = seen if self._around.near(proof) is None else monotonic()
            if monotonic() - seen > _GONE:
                await self.over(proof, back, "over")
                return False
            return await self._shown(proof, back, order, age)

        try:
            match await self._around.eids[asked.name].follow(order, show):
                case Done() as done if done.who == who and done.level >= _LEVEL:
                    await self._identified(proof, back, one, asked, done)
                case Done() as done:
                    await self._ended(proof, back, one, asked, "not_able" if done.who == who else "wrong_person")
                case Ended(why):
                    await self._ended(proof, back, one, asked, why)
                case None:
                    pass
        except Unavailable as error:
            self._log.error("back.failed", proof=proof.id, error=str(error))
            with suppress(Unavailable):
                await self.over(proof, back, "unavailable")
        # a desk that is stopped does not come here: an order that goes on keeps others from asking until it ends
        with suppress(Unavailable):
            await let()

    async def _identified(self, proof: Proof, back: Back, one: Conversation, asked: Provider, done: Done) -> None:
        kept = await self._around.identities.keep(one.subject, asked.name, done.evidence)
        await self._row(proof, one, asked, "identified", level=str(done.level), evidence=kept)
        now = await self._around.backs.change(proof.id, _of(back, lambda now: replace(now, done=True)))
        if now is not None:
            await self.advance(proof, now)

    async def advance(self, proof: Proof, back: Back) -> None:
        """It is known who that is, or that the browser is the one: where both are, it goes on."""
        if not back.complete:
            await self._show(proof, back, Shows.BACK if back.done else Shows.MOMENT)
            return
        settling = await self._around.backs.change(
            proof.id, _of(back, lambda now: replace(now, stage=BackStage.SETTLING))
        )
        if settling is None:
            return
        found = await self.conversation(proof, back.session, back.step, back)
        why = "over" if found is None else await self.settled(proof, settling, found[0], Passed(back.step, Factor.EID))
        if why:
            await self.over(proof, settling, why)

    async def _ended(self, proof: Proof, back: Back, one: Conversation, asked: Provider, why: str) -> None:
        """Nobody has identified, or somebody else."""
        here, declined = self._around, why == "declined_call"
        self._log.info("eid.ended", step=back.step, why=why)
        await self._row(proof, one, asked, "unavailable" if why == "failed" else why)
        if declined:
            self._log.warning("eid.declined_call", subject=one.subject.ref)
            await here.live.bar(one.subject.key, here.settings.steps.sms_link.bar_minutes * 60)
            fields = {"Uniqueid": proof.channel, "Subject": one.subject.ref}
            await here.switch.event(proof.node, "CallerDeclinesCall", fields)
        await self.settled(proof, back, one, Failed(back.step, Reason.DENIED if declined else Reason.EXPIRED))
        await self.over(proof, back, why)

    # ------------------------------------------------------------ what comes of it

    async def settled(self, proof: Proof, back: Back, one: Conversation, outcome: Outcome) -> str:
        """Have it decided, and the mark announced; empty where it is known who that is, else why not."""
        here = self._around

        async def still() -> bool:
            caller = await here.talking.of(proof, back.session, back.agent)
            return caller is not None and not await here.live.barred(one.subject.key)

        verdict = await here.beside.settle(one, outcome, still)
        if isinstance(verdict, Refused):
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
        await self._show(proof, back, Shows.KNOWN)
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
        await self._show(proof, ended, Shows.REFUSED, why=why if why in TOLD else "failed")
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

    async def _tried(self, one: Conversation, work: Awaitable[object]) -> None:
        try:
            await work
        except Unavailable as error:
            self._log.error("back.failed", proof=one.proof, error=str(error))

    async def _show(
        self, proof: Proof, back: Back, shows: Shows, *, seconds: float | None = None, left: int = 0, why: str = "",
        link: Secret | None = None, qr: Secret | None = None,
    ) -> None:  # fmt: skip
        empty = Secret("")
        view = View(
            shows, proof.shown.language, int(self._around.wall()) + _SHOWN, back.step, link=link or empty, qr=qr or empty,
            left=left, why=why,
        )  # fmt: skip
        await self._around.store.show(back.session, view, seconds)

    async def _row(self, proof: Proof, one: Conversation, asked: Provider, outcome: str, **more: str) -> None:
        """As `call.steps.eid` has them."""
        detail = {"provider": asked.name, "order": one.round, "node": proof.node, "tenant": proof.tenant, **more}
        await self._around.trail.append(
            Entry(
                "desk", "eid", outcome, call=proof.channel, subject=one.subject.ref, detail=detail,
                once=f"eid:{one.round}:{outcome}",
            )
        )  # fmt: skip


def policy_of(settings: Settings, tenant: str, step: str) -> str:
    """The name of the policy by which this tenant's customers show it so; empty where there is none."""
    found = (name for name in settings.prove.back if settings.policies[name].tenant == tenant)
    return next((name for name in found if settings.policies[name].steps == (step,)), "")


def _of(back: Back, how: Callable[[Back], Back]) -> Callable[[Back | None], Back | None]:
    """The change, where it is still this one that counts."""

    def changed(now: Back | None) -> Back | None:
        counts = now is not None and now.round == back.round and now.stage is BackStage.IDENTIFYING
        return how(now) if now is not None and counts else None

    return changed


def _of_session(back: Back, how: Callable[[Back], Back]) -> Callable[[Back | None], Back | None]:
    """The change, where it is still this browser's."""
    return lambda now: None if now is None or now.session != back.session else how(now)
