"""What `AGI(agi://…/NAME)` can ask for: `verify` and `mark`. Neither has a command that takes digits."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from structlog.typing import FilteringBoundLogger

from ivr.agi.wire import Request, Wire
from ivr.call.mark import STATUS, Mark, unmarked
from ivr.call.outcome import Status
from ivr.errors import Unavailable

MarkOf = Callable[[str, str], Awaitable[Mark | None]]
"""The mark of a node's channel; None where there is none. Raises `Unavailable` where the store does not answer."""

SCRIPTS = ("verify", "mark")

_POLICY = re.compile(r"[A-Za-z0-9_-]{1,40}")

_BADGE = "__TILLIT_BADGE"
_BADGE_EXPIRES = "__TILLIT_BADGE_EXPIRES"
_BADGE_OF = "__TILLIT_BADGE_OF"


async def verify(wire: Wire, request: Request, policy: str, log: FilteringBoundLogger) -> None:
    """Send the call to the dialplan's own tillit-verify, to which the channel goes as soon as AGI() has ended.

    `Gosub` here only says where the dialplan goes on, and remembers the line behind AGI() to come back to. So nothing
    holds this connection while the caller is verified: the watchdog, a hang-up and a worker that dies are the dialplan's.
    """
    policy = request.policy or policy
    if not _POLICY.fullmatch(policy):
        # what stands in the URL may be what a caller has dialled; without a policy the caller is sent on, unverified
        await wire.tell("no policy, or one that has no policy's name: write AGI(agi://HOST/verify,POLICY)")
        policy = ""
    answer = await wire.exec("Gosub", f"tillit-verify,s,1({policy})")
    if answer.done:
        log.info("agi.handed_over", policy=policy)
        return
    cure = "include dialplan/tillit.conf in extensions.conf"
    log.error("agi.failed", error=f"EXEC Gosub: {answer.code} {answer.result}", cure=cure)
    await wire.tell(f"Gosub(tillit-verify,s,1) is not possible: {cure}")


async def mark(wire: Wire, request: Request, mark_of: MarkOf, log: FilteringBoundLogger) -> None:
    """Set the variables of the mark anew from the store; what stands on the channel counts for nothing."""
    node = await wire.node()
    try:
        found = await mark_of(node, request.channel)
    except Unavailable as error:
        log.error("agi.failed", error=str(error), cure="see what else the log says of Redis")
        variables = unmarked(Status.UNAVAILABLE)
        found = None
    else:
        variables = found.variables() if found else {**unmarked(Status.UNAVAILABLE), STATUS: ""}
    # Status first void and last set: who hangs up or is cut off between two of them is not verified.
    status = variables.pop(STATUS)
    await wire.set(STATUS, "")
    for name, value in variables.items():
        await wire.set(name, value)
    await wire.set(_BADGE, found.header() if found else "")
    await wire.set(_BADGE_EXPIRES, str(found.expires) if found else "0")
    await wire.set(_BADGE_OF, request.channel if found else "")
    await wire.set(STATUS, status)
    log.info("agi.marked", assurance=found.level if found else 0)
