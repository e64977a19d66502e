"""Somebody identifies behind a proof with an electronic identity: the app is asked, and what it says is the very customer or nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from typing import Literal

from ivr.call.beside import Conversation
from ivr.call.outcome import Factor, Failed, Passed, Reason, Status
from ivr.call.ports import Entry
from ivr.call.ports.eid import Done, EidAsked, Ended, Let, Order
from ivr.call.proof import Proof
from ivr.call.steps.eid import Provider, provider
from ivr.errors import Unavailable
from ivr.persons.backing import Around, Backing
from ivr.persons.taking import Taking
from ivr.prompts import text
from ivr.secret import Secret
from ivr.store.backs import Back, BackStage
from ivr.store.introduction import Shows, Wish

# Behind the longest life of an order: until its provider has it.
_LATE = 30.0
# Seconds after which a call counts as ended: two are parted for a moment where Asterisk takes a Local channel out.
_GONE = 2.0
# Seconds for which is shown what is renewed as long as the app is asked for.
_RENEWED = 15.0
# Seconds in which an order that counts no longer is taken back at its provider, and between two looks.
_HANDED_ON, _LOOK = 3.0, 0.1
# The only level that an electronic identity is worth.
_LEVEL = 3


class Asking:
    """Every method raises `Unavailable`."""

    def __init__(self, around: Around, backing: Backing) -> None:
        self._around = around
        self._backing = backing
        self._log = around.log

    async def identify(
        self, proof: Proof, back: Back, one: Conversation, nonce: Secret | None, wish: Wish, taking: Taking
    ) -> None:
        """Have the customer asked for, before the browser that wants it. `nonce`: what the app is to bring back to that browser."""
        here, asked = self._around, provider(self._around.settings, back.step)
        identifying = here.eids[asked.name]
        who = await here.identities.of(one.subject, asked.kind)
        if who is None:
            self._log.info("eid.nobody", step=back.step)
            await self._backing.over(proof, back, "failed")
            return
        let = await self._turn(back, asked.kind, who, identifying.life + _LATE)
        if let is None:
            now = await here.backs.of(proof.id)
            if now is not None and now.round != back.round:
                # whoever taps twice has the turn by the later one
                return
            await self._row(proof, one, asked, "in_progress")
            await self._backing.over(proof, back, "in_progress")
            return
        order = None
        try:
            order = await self._asked(proof, back, one, asked, who, nonce, wish)
            if order is not None:
                await self._shown(proof, back, order, 0.0)
        except Unavailable as error:
            if order is None or await identifying.cancel(order):
                await let()
            self._log.error("back.failed", proof=proof.id, error=str(error))
            await self._backing.over(proof, back, "unavailable")
            return
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
        # what is away makes no try, as in a call: nobody is locked out by it
        await here.eids[asked.name].reach()
        if (lock := await here.beside.count(one)) is not None:
            await self._backing.over(proof, back, await self._backing.settled(proof, back, one, lock))
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
        return order

    async def _shown(self, proof: Proof, back: Back, order: Order, age: float) -> bool:
        """Whether it counts yet."""
        now = await self._around.backs.of(proof.id)
        if now is None or now.round != back.round or now.stage is not BackStage.IDENTIFYING:
            return False
        if now.brought:
            await self._backing.show(proof, now, Shows.MOMENT, seconds=_RENEWED)
        elif now.step == "freja":
            await self._backing.show(proof, now, Shows.ASKED, seconds=_RENEWED)
        else:
            empty = Secret("")
            link = empty if now.qr or order.link is None else order.link
            qr = order.qr(age) if now.qr and order.qr is not None else empty
            await self._backing.show(proof, now, Shows.APP, seconds=_RENEWED, link=link, qr=qr)
        return True

    async def _followed(
        self, proof: Proof, back: Back, one: Conversation, asked: Provider, who: Secret, order: Order, let: Let
    ) -> None:  # fmt: skip
        seen, over, identifying = monotonic(), False, self._around.eids[asked.name]

        async def show(order: Order, age: float) -> bool:
            nonlocal seen
            seen = seen if self._around.near(proof) is None else monotonic()
            if monotonic() - seen > _GONE:
                await self._backing.over(proof, back, "over")
                return False
            return await self._shown(proof, back, order, age)

        try:
            said = await identifying.follow(order, show)
            over = True
            match said:
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
                await self._backing.over(proof, back, "unavailable")
        # an order that goes on keeps others from asking until it ends, as where a desk is stopped
        if over or await identifying.cancel(order):
            with suppress(Unavailable):
                await let()

    async def _identified(self, proof: Proof, back: Back, one: Conversation, asked: Provider, done: Done) -> None:
        kept = await self._around.identities.keep(one.subject, asked.name, done.evidence)
        await self._row(proof, one, asked, "identified", level=str(done.level), evidence=kept)
        now = await self._around.backs.change(proof.id, _of(back, lambda now: replace(now, done=True)))
        if now is not None:
            await self.advance(proof, now, one)

    async def advance(self, proof: Proof, back: Back, one: Conversation | None = None) -> None:
        """It is known who that is, or that the browser is the one: where both are, it goes on. `one`: the conversation in which it began."""
        if not back.complete:
            await self._backing.show(proof, back, Shows.BACK if back.done else Shows.MOMENT)
            return
        settling = await self._around.backs.change(
            proof.id, _of(back, lambda now: replace(now, stage=BackStage.SETTLING))
        )
        if settling is None:
            return
        passed = Passed(back.step, Factor.EID)
        found = await self._backing.conversation(proof, back.session, back.step, back)
        if found is not None:
            why = await self._backing.settled(proof, settling, found[0], passed)
        else:
            why = "over"
            if (one := one or await self._backing.apart(proof, back)) is not None:
                await self._around.beside.unanswered(one, Status.ABANDONED, passed)
        if why:
            await self._backing.over(proof, settling, why)

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
        if why == "failed":
            # who is away has not compared anything
            await here.beside.unanswered(one, Status.UNAVAILABLE)
        else:
            failed = Failed(back.step, Reason.DENIED if declined else Reason.EXPIRED)
            await self._backing.settled(proof, back, one, failed)
        await self._backing.over(proof, back, "unavailable" if why == "failed" else why)

    # ------------------------------------------------------------ inside

    async def _row(self, proof: Proof, one: Conversation, asked: Provider, outcome: str, **more: str) -> None:
        """As `call.steps.eid` has them."""
        detail = {"provider": asked.name, "order": one.round, "node": proof.node, "tenant": proof.tenant, **more}
        await self._around.trail.append(
            Entry(
                "desk", "eid", outcome, call=proof.channel, subject=one.subject.ref, detail=detail,
                once=f"eid:{one.round}:{outcome}",
            )
        )  # fmt: skip


def _of(back: Back, how: Callable[[Back], Back]) -> Callable[[Back | None], Back | None]:
    """The change, where it is still this one that counts."""

    def changed(now: Back | None) -> Back | None:
        counts = now is not None and now.round == back.round and now.stage is BackStage.IDENTIFYING
        return how(now) if now is not None and counts else None

    return changed
