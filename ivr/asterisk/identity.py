"""Which Asterisk it is that a manager interface (AMI) belongs to."""

from __future__ import annotations

from ivr.asterisk.ami import Ami
from ivr.errors import AmiError, ConfigError


async def entity_of(ami: Ami) -> str:
    """What ARI calls `entity_id`. Raises `AmiError`."""
    return (await ami.action("Getvar", Variable="ENTITYID"))[0].get("Value", "")


async def demand(ami: Ami, node: str) -> None:
    """Raises `ConfigError` where it is another node's than this; nothing where it does not answer now."""
    try:
        found = await entity_of(ami)
    except AmiError:
        # asked again whenever it has come
        return
    if found != node:
        raise ConfigError(
            f"{ami.place} host, port",
            f"the manager interface there is that of another Asterisk than the url: entity_id {found or 'none'}, not {node}",
            "Name the host and port of the same Asterisk in both",
        )
