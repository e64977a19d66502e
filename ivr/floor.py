"""Who talks with whom on all nodes of the settings, for those processes that ask: connected, and ended with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ami import Ami
from ivr.asterisk.ari import Ari
from ivr.asterisk.identity import demand
from ivr.asterisk.inspection import node_of
from ivr.asterisk.talks import Talks
from ivr.config import Settings
from ivr.errors import ConfigError


async def nodes_of(settings: Settings, log: FilteringBoundLogger) -> dict[str, Ami]:
    """The logins of all nodes, not opened yet.

    Raises `ConfigError` where one has no manager interface, or will not do; `Unreachable` where one is not there.
    """
    nodes: dict[str, Ami] = {}
    places: dict[str, str] = {}
    for place, asterisk in settings.asterisks.items():
        if asterisk.desk is None:
            raise ConfigError(
                f"{settings.file}: {place[:-1]}.desk]", "is left out, and the desk knows by it who talks with whom",
                "Write the table, and the user tillit-desk in manager.conf",
            )  # fmt: skip
        ari = Ari.of(settings, place, log=log)
        await ari.open()
        try:
            node = await node_of(ari, settings, place, log)
        finally:
            await ari.close()
        if node in nodes:
            # the one's talks would stand in the other's place, and be nobody's
            both = ", ".join(f"{one} url" for one in (places[node], place))
            raise ConfigError(
                f"{settings.file}: {both}", f"both lead to an Asterisk whose entity_id is {node}",
                "Take one of the tables out; or, if these are two Asterisks, give one of them another entityid in asterisk.conf",
            )  # fmt: skip
        nodes[node], places[node] = Ami.of(settings, place, name="desk", log=log), place
    return nodes


def places_of(settings: Settings, nodes: Mapping[str, Ami]) -> dict[str, str]:
    """The settings' table of each of these, such as `[asterisk]`."""
    tables = {f"{settings.file}: {place[:-1]}.desk]": place for place in settings.asterisks}
    return {node: tables[ami.place] for node, ami in nodes.items()}


async def talks_of(nodes: dict[str, Ami], stack: AsyncExitStack, log: FilteringBoundLogger) -> Talks:
    """Who talks with whom on them, until the stack is closed. Raises `ConfigError` where a login leads to another node's AMI."""
    talks = Talks(nodes, log)
    stack.push_async_callback(talks.close)
    for node, ami in nodes.items():
        stack.push_async_callback(ami.close)
        await ami.open(patient=True)
        await demand(ami, node)
    return talks


@dataclass(frozen=True, slots=True)
class Watched:
    """One node as monitoring sees it: `place` in the settings, whether its login stands, and whether its talks are known."""

    place: str
    node: str
    ami: Ami
    talks: Talks

    @property
    def connected(self) -> bool:
        """Whether the manager interface is logged in to."""
        return self.ami.connected

    @property
    def known(self) -> bool:
        """Whether it is known who talks with whom there."""
        return self.talks.knows(self.node)


def watched(settings: Settings, nodes: Mapping[str, Ami], talks: Talks) -> Iterator[Watched]:
    """Each of them (`nodes_of`)."""
    for place, (node, ami) in zip(settings.asterisks, nodes.items(), strict=False):
        yield Watched(place, node, ami, talks)
