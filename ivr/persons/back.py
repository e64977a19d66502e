"""Whom the company has shown who it is shows who they are, on the same page, while the two go on talking: what is wanted there."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import replace
from time import time

from structlog.typing import FilteringBoundLogger

from ivr.call.beside import Beside
from ivr.call.outcome import Factor, Failed, Outcome, Passed, Reason, Status
from ivr.call.ports import Totps
from ivr.call.proof import Proof
from ivr.errors import Unavailable
from ivr.lock.proofports import Pages
from ivr.persons.asking import Asking
from ivr.persons.backing import TOTP, Backing
from ivr.persons.taking import Taking
from ivr.secret import Secret
from ivr.store.backs import Back, Backs, BackStage
from ivr.store.introduction import Act, Shows, View, Wish
from ivr.store.opened import new_link
from ivr.store.pagekey import PageKey
from ivr.store.wishes import DeskWishes

# How often it may be begun behind one proof.
_MOST = 5
# Seconds for which one goes on where nothing comes of it: longer than any order, and than what is shown of it.
_LASTS = 600


class BackService:
    """What the page says decides nothing: whose proof it is, who talks with whom, and who has identified, is looked up here."""

    def __init__(
        self, store: DeskWishes, backs: Backs, pages: Pages, beside: Beside, backing: Backing, asking: Asking, totps: Totps, key: PageKey,
        changed: Callable[[frozenset[str]], None], log: FilteringBoundLogger, *, wall: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        """`changed` is told whose pages show something else now; `wall`: seconds since the epoch."""
        self._store = store
        self._backs = backs
        self._pages = pages
        self._beside = beside
        self._backing = backing
        self._asking = asking
        self._totps = totps
        self._key = key
        self._changed = changed
        self._log = log
        self._wall = wall
        self._taking = Taking(store, self._act, log, "backs", wall)

    async def run(self) -> None:
        """For ever."""
        await self._taking.run()

    async def close(self) -> None:
        """End what is going on: what is shown of it ends within seconds."""
        await self._taking.close()

    # ------------------------------------------------------------ what people want

    async def _act(self, wish: Wish) -> None:
        proof = await self._pages.of(wish.link)
        if proof is None:
            return
        match wish.act:
            case Act.BEGIN:
                await self._begin(proof, wish)
            case Act.KEY:
                await self._keyed(proof, wish)
            case Act.BACK:
                await self._brought(proof, wish)
            case _:
                return

    async def _begin(self, proof: Proof, wish: Wish) -> None:
        step = next((one for one in proof.shown.back if Secret(one) == wish.field("step")), "")
        found = await self._backing.conversation(proof, wish.session, step)
        if found is None:
            await self._refused(proof, wish, "over")
            return
        one, agent = found
        if await self._backing.under_way(proof):
            await self._refused(proof, wish, "over")
            return
        if (lock := await self._beside.may(one)) is not None:
            self._log.info("back.locked", proof=proof.id, scope=lock.scope.value)
            await self._refused(proof, wish, "failed")
            return
        nonce = new_link() if step == "bankid" and not wish.qr else None
        mac = "" if nonce is None else self._mac(nonce, proof)

        def begun(now: Back | None) -> Back | None:
            if now is not None and (now.stage in (BackStage.SETTLING, BackStage.KNOWN) or now.began >= _MOST):
                return None
            before, tried = (0, 0) if now is None else (now.began, now.tried)
            return Back(
                proof.id, wish.session, one.policy.name, step, one.round, agent, began=before + 1, tried=tried, nonce=mac,
                qr=wish.qr, until=self._until,
            )  # fmt: skip

        back = await self._backs.change(proof.id, begun)
        if back is None:
            await self._refused(proof, wish, "many")
            return
        self._log.info("back.begun", proof=proof.id, step=step)
        self._changed(frozenset({proof.endpoint}))
        if step == TOTP:
            await self._backing.ask_totp(proof, back)
        else:
            await self._asking.identify(proof, back, one, nonce, wish, self._taking)

    async def _keyed(self, proof: Proof, wish: Wish) -> None:
        """Each code that is keyed is a round of its own: counted, then compared."""

        tries = self._backing.tries(proof)

        def tried(now: Back | None) -> Back | None:
            if now is None or now.session != wish.session or now.step != TOTP:
                return None
            if now.stage is not BackStage.IDENTIFYING or now.tried >= tries:
                return None
            return replace(now, tried=now.tried + 1, round=secrets.token_urlsafe(12), until=self._until)

        back = await self._backs.change(proof.id, tried)
        if back is None:
            return
        found = await self._backing.conversation(proof, wish.session, TOTP, back)
        if found is None:
            await self._backing.over(proof, back, "over")
            return
        one, _ = found
        outcome: Outcome | None = await self._beside.may(one) or await self._beside.count(one)
        if outcome is None:
            try:
                right = await self._totps.accepts(one.subject, wish.field("digits"))
            except Unavailable as error:
                self._log.error("back.failed", proof=proof.id, error=str(error))
                await self._beside.unanswered(one, Status.UNAVAILABLE)
                await self._backing.over(proof, back, "unavailable")
                return
            outcome = Passed(TOTP, Factor.POSSESSION) if right else Failed(TOTP, Reason.WRONG)
        why = await self._backing.settled(proof, back, one, outcome)
        if why and isinstance(outcome, Failed) and back.tried < tries:
            await self._backing.ask_totp(proof, back, wrong=True)
        elif why:
            await self._backing.over(proof, back, "wrong" if isinstance(outcome, Failed) else why)

    async def _brought(self, proof: Proof, wish: Wish) -> None:
        """The app has sent a browser back. Where that is not the one that began, who identifies is not who wanted it: it ends."""
        now = await self._backs.of(proof.id)
        mac = self._mac(wish.field("nonce"), proof)
        if now is None or not now.nonce or not hmac.compare_digest(now.nonce, mac):
            return
        if not wish.session or wish.session != now.session:
            await self._backing.over(proof, now, "elsewhere")
            return

        def brought(one: Back | None) -> Back | None:
            counts = one is not None and one.round == now.round and one.stage is BackStage.IDENTIFYING
            return replace(one, brought=True) if one is not None and counts else None

        back = await self._backs.change(proof.id, brought)
        if back is not None:
            await self._asking.advance(proof, back)

    # ------------------------------------------------------------ inside

    @property
    def _until(self) -> int:
        """When what is begun now, or tried anew, is over by itself."""
        return int(self._wall()) + _LASTS

    def _mac(self, nonce: Secret, proof: Proof) -> str:
        """What the app brings back, as it is kept."""
        return self._key.mac("back/app", nonce, proof.id)

    async def _refused(self, proof: Proof, wish: Wish, why: str) -> None:
        """It was not begun, and what was begun before is as it was."""
        self._log.info("back.refused", proof=proof.id, step="", why=why)
        until = int(self._wall()) + 60
        await self._store.show(wish.session, View(Shows.REFUSED, proof.shown.language, until, why=why))
