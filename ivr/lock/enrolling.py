"""A browser becomes a customer's: by the link of a text to a number on record, behind the digits of the call."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Entry, Trail
from ivr.call.proof import Stage, Way
from ivr.errors import Unavailable
from ivr.lock.carrypush import Push, Pushes
from ivr.lock.proofports import Pages
from ivr.sms.reports import Posted
from ivr.store.posted import PUSH

WAY = PUSH
"""As what subscriptions come in at the public page."""

ADDED = "push.add"
"""The action of its row."""

BY_TEXT = frozenset({Way.TEXT, Way.CODE})
"""The ways that lead to a telephone number on record: who has the link has that telephone, or was given it by who has."""


class Enrolling:
    """Takes what the page passes on, and believes none of it: whose link it is, and what came of that proof, is looked up here."""

    def __init__(self, pages: Pages, push: Push, pushes: Pushes, trail: Trail, log: FilteringBoundLogger) -> None:
        self._pages = pages
        self._push = push
        self._pushes = pushes
        self._trail = trail
        self._log = log

    async def take(self, posted: Posted) -> None:
        """Make it the customer's, told to the trail before; what is not good is left out. Raises nothing."""
        try:
            why = await self._taken(posted)
        except Unavailable as error:
            self._log.error("push.failed", error=str(error))
            return
        if why:
            self._log.info("push.refused", why=why)

    async def _taken(self, posted: Posted) -> str:
        """Why not; empty where it was taken."""
        proof = await self._pages.by_link(posted.secret)
        if proof is None or proof.stage is not Stage.CONFIRMED or proof.way not in BY_TEXT:
            return "proof"
        if await self._pages.denied(proof.id):
            return "denied"
        if not self._push.is_subscription(posted.body):
            return "subscription"
        # whoever has that telephone now may be somebody else: behind a change of the number, or of its SIM, the page's token is worth nothing
        begun = proof.shown.since
        if not await self._pushes.has_phone(proof.subject, proof.phone, begun):
            return "number"
        detail = {"proof": proof.id, "tenant": proof.tenant}
        await self._trail.append(Entry("page", ADDED, "kept", call=proof.channel, subject=proof.subject, detail=detail))
        if not await self._pushes.keep(proof.subject, posted.body, proof.phone, self._push.public, begun):
            return "number"
        # denied as it was kept: whoever has settled that may have looked before there was anything to take away
        if await self._pages.denied(proof.id):
            await self._pushes.undo(proof.subject, begun)
            return "denied"
        self._log.info("push.kept", proof=proof.id)
        return ""
