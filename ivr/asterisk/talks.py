"""Who talks with whom, on all nodes: the ground that the lock stands on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ami import Ami
from ivr.asterisk.exchange import Exchange
from ivr.call import ports
from ivr.errors import Unavailable


class Talks:
    """Implements `ivr.call.ports.Talks`. `Ami.open` of each node begins it, `close` ends it."""

    def __init__(self, nodes: Mapping[str, Ami], log: FilteringBoundLogger) -> None:
        """`nodes`: by what marks name them, each with a login that manager.conf calls `tillit-desk`, not opened yet."""
        self._listeners: list[Callable[[frozenset[str]], None]] = []
        self._exchanges = {node: Exchange(node, ami, log, self._told) for node, ami in nodes.items()}

    @property
    def known(self) -> bool:
        """Whether every node has told all that it has."""
        return all(exchange.known for exchange in self._exchanges.values())

    def knows(self, node: str) -> bool:
        """Whether this one has."""
        return self._exchanges[node].known

    async def until_known(self) -> None:
        """Wait for that."""
        await asyncio.gather(*(exchange.until_known() for exchange in self._exchanges.values()))

    async def of(self, endpoint: str) -> tuple[ports.Talk, ...]:
        """Those of this endpoint's channels, of all nodes; a channel that is joined with nobody is none.

        Takes a second at most. Raises `Unavailable` where one node's are not known: the endpoint could be talking there
        as well.
        """
        if len(self._exchanges) == 1:
            (only,) = self._exchanges.values()
            return await only.of(endpoint)
        found = await asyncio.gather(*(exchange.of(endpoint) for exchange in self._exchanges.values()))
        return tuple(talk for talks in found for talk in talks)

    def told(self, endpoint: str) -> tuple[ports.Talk, ...]:
        """The same as far as events tell: to be looked at, and nothing is given out by it. Raises `Unavailable`."""
        return tuple(talk for exchange in self._exchanges.values() for talk in exchange.told(endpoint))

    def told_of(self, node: str, channel: str) -> ports.Talk | None:
        """The same of one channel, by its unique id; None where it is joined with nobody. Raises `Unavailable`."""
        exchange = self._exchanges.get(node)
        if exchange is None:
            raise Unavailable("a channel is of a node that the settings do not have")
        return exchange.told_of(channel)

    def on_change(self, told: Callable[[frozenset[str]], None]) -> None:
        """Call this with the endpoints whose talks are others than before, or are not known any more; it must not wait."""
        self._listeners.append(told)

    def around(self, node: str, channel: str) -> frozenset[str]:
        """The endpoints that are joined with this channel now, as far as events have told."""
        exchange = self._exchanges.get(node)
        return frozenset() if exchange is None else exchange.around(channel)

    async def close(self) -> None:
        """Ask for nothing more."""
        await asyncio.gather(*(exchange.close() for exchange in self._exchanges.values()))

    def _told(self, endpoints: frozenset[str]) -> None:
        for told in self._listeners:
            told(endpoints)
