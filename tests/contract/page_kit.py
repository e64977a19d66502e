"""Proofs on a Redis of their own, as desk and page see them."""

from __future__ import annotations

import secrets
import time

from ivr.call.proof import Keyed, Proof, Shown, Way
from ivr.secret import Secret
from ivr.store.link import Link
from ivr.store.opened import PageStore, new_link
from ivr.store.pagekey import PageKey
from ivr.store.pages import Kept, Pages, ProofRules
from tests.contract.live_server import Server

SHOWN = Shown(
    company="Acme", department="Customer service", agent="Agda", title="Case handler", about="Your invoice",
    number="+46…67", outbound=True, since=1_790_000_000, phrase="green canoe", language="en",
)  # fmt: skip
DIGITS = Secret("481650")
OTHER = Secret("000000")


def proof(
    id: str = "", *, channel: str = "1712.5", subject: str = "main:anna", seconds: int = 300, keyed: Keyed = Keyed.PAGE,
    way: Way = Way.TEXT, shown: Shown = SHOWN,
) -> Proof:  # fmt: skip
    """One that begins now."""
    return Proof(
        id or secrets.token_hex(16), "node", channel, "PJSIP/agda", "main", "person-1", subject, way, keyed,
        int(time.time()) + seconds, shown,
    )  # fmt: skip


def key_of() -> PageKey:
    """A new one."""
    return PageKey(secrets.token_bytes(32))


class Both:
    """The desk's way to a Redis, and the page's; under one key."""

    def __init__(self, server: Server, key: PageKey | None = None, rules: ProofRules | None = None) -> None:
        settings = server.settings()
        self.key = key or key_of()
        self.prefix = settings.redis.prefix
        self.links = Link.of(settings), Link.of(settings)
        self.pages = Pages(self.links[0], self.prefix, self.key, rules, settings.limits)
        self.store = PageStore(self.links[1], self.prefix, self.key)

    async def begin(
        self, one: Proof | None = None, *, digits: Secret = DIGITS, code: Secret | None = None
    ) -> tuple[Proof, Secret]:
        """One that is kept, and the end of its link."""
        one, link = one or proof(), new_link()
        assert await self.pages.open(one, digits=digits, link=link, code=code) == Kept()
        return one, link

    async def close(self) -> None:
        for link in self.links:
            await link.close()
