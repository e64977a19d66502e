"""Whether somebody whom the company has shown who it is talks with the same person of ours yet, and with nobody else."""

from __future__ import annotations

from ivr.call.proof import Proof
from ivr.lock.decision import Caller
from ivr.lock.judge import Judge
from ivr.lock.proofports import Pages
from ivr.lock.whom import Whom
from ivr.lock.words import Denied
from ivr.store.sealing import endpoint_key
from ivr.vault import Index


class Talking:
    """Asked anew each time, of Asterisk."""

    def __init__(self, judge: Judge, whom: Whom, pages: Pages, index: Index) -> None:
        self._judge = judge
        self._whom = whom
        self._pages = pages
        self._index = index

    async def of(self, proof: Proof, browser: str, agent: str = "") -> Caller | None:
        """Who is on the line, where this browser has keyed the digits of that proof, and nobody has denied it since.

        `agent`: the channel of ours that it was before. Raises `Unavailable`.
        """
        if not await self.answered(proof, browser):
            return None
        person = await self._judge.by_id(proof.tenant, proof.person)
        if person is None:
            return None
        found = await self._whom.sole(person, self._index.call(proof.node, proof.channel))
        if isinstance(found, Denied):
            return None
        own = found.talk.own
        same = endpoint_key(own.endpoint) == endpoint_key(proof.endpoint) and agent in ("", own.channel)
        return found if same else None

    async def answered(self, proof: Proof, browser: str) -> bool:
        """Whether this browser has keyed the digits, and nobody has denied it since. Raises `Unavailable`."""
        return browser != "" and await self._pages.answered_by(proof.id) == browser
