"""Whether new calls are offered to all workers, where several are to serve at once."""

from __future__ import annotations

from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.doctor.node import Node, global_variable, rows

ALONE = Kind(
    "calls-not-offered", Grade.WARNING,
    "Several workers are to serve at once, and the dialplan offers calls to none of them",
    "All new calls go to one worker. When it dies or hangs, those that come before another has taken its place are not verified.",
)  # fmt: skip
MODULE = Kind(
    "offer-module", Grade.WARNING,
    "The dialplan is to offer calls to all workers, and Asterisk lacks a module for that",
    "All new calls go to one worker, as without the setting.",
)  # fmt: skip
TIME = Kind(
    "offer-time", Grade.WARNING,
    "The time for which calls are offered is none that Asterisk or the workers can do with",
    "Asterisk then takes half a second, or a worker that comes last is too late; the watchdog over it may fail.",
)  # fmt: skip
KINDS = (ALONE, MODULE, TIME)

MODULES = ("app_stasis_broadcast", "res_stasis_broadcast")
_VARIABLE = "TILLIT_BROADCAST"
# Below, a worker that lets others go first is too late; above, StasisBroadcast() does not take it. Milliseconds.
_LEAST, _MOST = 500, 60_000
_SET = (
    f"asterisk -rx 'dialplan set global {_VARIABLE} 1000'",
    f"# and write {_VARIABLE}=1000 below [globals] in /etc/asterisk/extensions.conf (FreePBX: globals_custom.conf)",
)


async def check(node: Node) -> list[Finding]:
    """Nothing where one worker serves, and nothing else is said."""
    subject = node.about("sharing")
    value = await global_variable(node, _VARIABLE)
    if not value:
        if node.settings.worker.at_once == 1:
            return []
        problem = f"[worker] at_once is {node.settings.worker.at_once}, and the global variable {_VARIABLE} is not set"
        return [ALONE.found(subject, problem, *_SET)]
    if not value.isdecimal() or not _LEAST <= int(value) <= _MOST:
        return [TIME.found(subject, f"{_VARIABLE} is no whole number from {_LEAST} to {_MOST}", *_SET)]
    running = {
        str(one["name"]).removesuffix(".so")
        for one in rows(await node.ari.request("GET", "asterisk/modules"))
        if one.get("status") == "Running"
    }
    return [
        MODULE.found(
            subject, f"{_VARIABLE} is set, and {name} is not running",
            f"asterisk -rx 'module load {name}.so'",
            "# Asterisk has it from 20.17, 22.7 and 23.1 on; see config/asterisk/modules.conf",
        )
        for name in MODULES
        if name not in running
    ] or [ok(subject, f"calls are offered to all workers, for {value} milliseconds")]  # fmt: skip
