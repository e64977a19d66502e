"""A private Asterisk, its phones, and who talks with whom there, by the rights that the sample gives the desk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rig.asterisk import AGENTS, CALLERS, Pbx
from rig.desk import USER

from ivr.asterisk.ami import Ami
from ivr.asterisk.talks import Talks
from ivr.call.ports import Talk
from ivr.config import AmiSettings
from ivr.errors import Unavailable
from ivr.secret import Secret
from tests.contract.ari_log import Log

LIMIT = 15.0
ENDPOINTS = tuple(f"PJSIP/{name}" for name in CALLERS + AGENTS)

Whom = dict[str, list[tuple[str, ...]]]


class Floor:
    """Whom each endpoint talks with, now and since the test began."""

    def __init__(self, node: str, talks: Talks, ami: Ami, log: Log) -> None:
        self.node = node
        self.talks = talks
        self.ami = ami
        self.log = log
        self.history: list[tuple[str, frozenset[str]]] = []
        talks.on_change(self._note)

    async def whom(self) -> Whom:
        """By endpoint, without `PJSIP/`, the others of each of its talks; those without a talk are missing."""
        found: Whom = {}
        for endpoint in ENDPOINTS:
            if talks := await self.talks.of(endpoint):
                others = [tuple(sorted(_short(other.endpoint) for other in talk.others)) for talk in talks]
                found[_short(endpoint)] = sorted(others)
        return found

    async def until(self, wanted: Whom, limit: float = LIMIT) -> None:
        """Wait until it is so, of all endpoints."""
        seen: Whom | str = {}
        try:
            async with asyncio.timeout(limit):
                while seen != wanted:
                    try:
                        seen = await self.whom()
                    except Unavailable as error:
                        seen = str(error)
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise TimeoutError(f"waited {limit:g} s in vain for {wanted}; it is {seen}") from None

    async def two(self, one: str, other: str) -> None:
        """Wait until these two talk, and nobody else."""
        await self.until({one: [(other,)], other: [(one,)]})

    async def nobody(self) -> None:
        """Wait until nobody talks."""
        await self.until({})

    async def talk(self, endpoint: str) -> Talk:
        """The endpoint's one talk; waited for, since Asterisk parts two for a moment as it takes a Local channel out."""
        async with asyncio.timeout(LIMIT):
            while not (found := await self.talks.of(f"PJSIP/{endpoint}")):
                await asyncio.sleep(0.005)
        (talk,) = found
        return talk

    def had(self, whom: str) -> set[str]:
        """All endpoints that ever talked with this one, if only for a moment."""
        return {_short(endpoint) for endpoint, others in self.history if whom in others}

    def _note(self, endpoints: frozenset[str]) -> None:
        for endpoint in endpoints:
            for talk in self.talks._exchanges[self.node]._board.talks(self.node, endpoint):
                self.history.append((endpoint, frozenset(_short(other.endpoint) for other in talk.others)))


@asynccontextmanager
async def opened(pbx: Pbx, secret: str) -> AsyncIterator[Floor]:
    """Who talks with whom on this one."""
    log = Log()
    ami = Ami(AmiSettings(port=pbx.ami_port, username=USER), Secret(secret), log=log.logger)
    node = pbx.ari("GET", "asterisk/info")["system"]["entity_id"]
    talks = Talks({node: ami}, log.logger)
    floor = Floor(node, talks, ami, log)
    await ami.open()
    await talks.until_known()
    try:
        yield floor
    finally:
        await ami.close()
        await talks.close()


def _short(endpoint: str) -> str:
    return endpoint.removeprefix("PJSIP/")


def replaces(pbx: Pbx, endpoint: str) -> list[tuple[str, str]]:
    """The header of an INVITE that takes the place of this endpoint's channel."""
    channel = next(one["id"] for one in pbx.ari("GET", "channels") if one["name"].startswith(f"PJSIP/{endpoint}-"))

    def of(name: str) -> str:
        return str(pbx.ari("GET", f"channels/{channel}/variable?variable=CHANNEL(pjsip,{name})")["value"])

    return [("Replaces", f"{of('call-id')};to-tag={of('local_tag')};from-tag={of('remote_tag')}")]
