"""What is wrong with this PBX: looked at as an administrator would wish. Nothing is changed, and no text is sent.

A check is a function that returns findings; what troubles it knows stands in its module's `KINDS`.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import structlog

from ivr.asterisk.ari import Ari
from ivr.config import Asterisk as AsteriskSettings
from ivr.config import Settings
from ivr.doctor import (
    agi,
    attestation,
    audio,
    calls,
    clock,
    desk,
    dialplan,
    eid,
    files,
    keys,
    leaks,
    live,
    manager,
    metrics,
    modules,
    openid,
    outpost,
    page,
    peers,
    persons,
    prompts,
    proxy,
    push,
    reach,
    retention,
    sharing,
    texts,
    users,
    watchdog,
    ways,
    webhooks,
)
from ivr.doctor.console import ETC
from ivr.doctor.finding import NOT_LOOKED_AT, Finding, Grade, Kind, well
from ivr.doctor.node import Node
from ivr.errors import ConfigError, TillitError

KINDS: tuple[Kind, ...] = (
    *keys.KINDS, *files.KINDS, *retention.KINDS, *agi.KINDS, *live.KINDS, *reach.KINDS, *manager.KINDS, *desk.KINDS, *outpost.KINDS, *openid.KINDS, *eid.KINDS, *webhooks.KINDS, *modules.KINDS, *dialplan.KINDS, *sharing.KINDS, *watchdog.KINDS, *leaks.KINDS, *users.KINDS, *audio.KINDS, *calls.KINDS, *attestation.KINDS,
    *prompts.KINDS, *texts.KINDS, *metrics.KINDS, *proxy.KINDS, *page.KINDS, *ways.KINDS, *persons.KINDS, *push.KINDS, *peers.KINDS, *clock.KINDS, NOT_LOOKED_AT,
)  # fmt: skip
"""Every trouble that is known."""

CONSOLE = ("asterisk",)
"""How Asterisk's program is started on this machine."""

_OURS: dict[str, Callable[[Settings], Awaitable[list[Finding]]]] = {
    "keys and database": keys.check,
    "files": files.check,
    "retention": retention.check,
    "FastAGI": agi.check,
    "Redis": live.check,
    "text messages": texts.check,
    "metrics": metrics.check,
    "desk": desk.check,
    "OpenID provider": openid.check,
    "electronic identities": eid.check,
    "webhooks": webhooks.check,
    "proxy": proxy.check,
    "page": page.check,
    "ways to prove who we are": ways.check,
    "people among themselves": persons.check,
    "browsers and apps": push.check,
    "other organisations": peers.check,
    "clocks": clock.check,
}
_OF_A_NODE: dict[str, Callable[[Node], Awaitable[list[Finding]]]] = {
    "rights": reach.check,
    "AMI": manager.check,
    "desk": desk.check_node,
    "desk's application": outpost.check,
    "modules": modules.check,
    "dialplan": dialplan.check,
    "sharing of calls": sharing.check,
    "watchdog": watchdog.check,
    "logs": leaks.check,
    "users and ports": users.check,
    "endpoints": audio.check,
    "calls": calls.check,
    "attestation": attestation.check,
    "prompts": prompts.check,
    "clock": clock.check_node,
}


async def examine(
    settings: Settings, *, console: Sequence[str] = CONSOLE, tell: Callable[[str], None] = lambda _: None
) -> list[Finding]:
    """All findings. `tell` hears what is being looked at; `console` starts Asterisk's program."""
    found: list[Finding] = []
    for name, check in _OURS.items():
        tell(name)
        try:
            found += await check(settings)
        except (OSError, TillitError) as error:
            found.append(_failed(name, error, "# as root: ari_app.py doctor"))
    for place, asterisk in settings.asterisks.items():
        found += await _node(settings, asterisk, place, console, tell)
    return found


async def _node(
    settings: Settings, asterisk: AsteriskSettings, place: str, console: Sequence[str], tell: Callable[[str], None]
) -> list[Finding]:
    """All findings about one Asterisk."""
    subject = place.strip("[]")
    tell(subject)
    log = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        ari = Ari.of(settings, place, log=log)
    except ConfigError as error:
        return [reach.ARI_LOGIN.told(subject, error)]
    await ari.open()
    try:
        node, found = await reach.find(settings, asterisk, place, ari, console)
        if node is None:
            return found
        for name, check in _OF_A_NODE.items():
            tell(f"{subject}: {name}")
            try:
                found += await check(node)
            except (OSError, TillitError) as error:
                # a module of ARI that is not loaded, say: what else there is must be told of all the same
                found.append(_failed(node.about(name), error, "asterisk -rx 'module show like res_ari'"))
        return [_here(finding, node, console) for finding in found]
    finally:
        await ari.close()


def _failed(subject: str, error: Exception, cure: str) -> Finding:
    """A check that came to nothing."""
    why = str(error) if isinstance(error, TillitError) else type(error).__name__
    return NOT_LOOKED_AT.found(subject, f"it cannot be looked at ({why})", cure)


def _here(finding: Finding, node: Node, console: Sequence[str]) -> Finding:
    """The same, with cures that fit this machine's Asterisk."""
    command, etc = shlex.join(console), str(node.console.etc if node.console else ETC)
    cure = (line.replace("asterisk -rx", f"{command} -rx").replace(str(ETC), etc) for line in finding.cure)
    return replace(finding, cure=tuple(cure))


__all__ = ["CONSOLE", "KINDS", "Finding", "Grade", "Kind", "examine", "well"]
