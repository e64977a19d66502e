"""Who talks with whom on all nodes of the settings, for those processes that ask: connected, and ended with them."""

from __future__ import annotations

from contextlib import AsyncExitStack

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ami import Ami
from ivr.asterisk.ari import Ari
from ivr.asterisk.inspection import node_of
from ivr.asterisk.talks import Talks
from ivr.config import Settings
from ivr.errors import ConfigError


async def nodes_of(settings: Settings, log: FilteringBoundLogger) -> dict[str, Ami]:
    """The logins of all nodes, not opened yet.

    Raises `ConfigError` where one has no manager interface, or will not do; `Unreachable` where one is not there.
    """
    nodes: dict[str, Ami] = {}
    for place, asterisk in settings.asterisks.items():
        if asterisk.desk is None:
            raise ConfigError(
                f"{settings.file}: {place[:-1]}.desk]", "is left out, and the desk knows by it who talks with whom",
                "Write the table, and the user tillit-desk in manager.conf",
            )  # fmt: skip
        ari = Ari.of(settings, place, log=log)
        await ari.open()
        try:
            nodes[await node_of(ari, settings, place, log)] = Ami.of(settings, place, name="desk", log=log)
        finally:
            await ari.close()
    return nodes


async def talks_of(nodes: dict[str, Ami], stack: AsyncExitStack, log: FilteringBoundLogger) -> Talks:
    """Who talks with whom on them, until the stack is closed."""
    talks = Talks(nodes, log)
    stack.push_async_callback(talks.close)
    for ami in nodes.values():
        stack.push_async_callback(ami.close)
        await ami.open(patient=True)
    return talks
