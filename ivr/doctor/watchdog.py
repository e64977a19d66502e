"""Whether the dialplan's watchdog has the bound that the settings give it."""

from __future__ import annotations

from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.doctor.node import Node, global_variable

DIFFERS = Kind(
    "watchdog-differs", Grade.WARNING,
    "The dialplan's watchdog has another bound than the settings",
    "Whose worker dies before it has begun with the call waits in silence for the dialplan's time, not for yours.",
)  # fmt: skip
KINDS = (DIFFERS,)

_VARIABLE = "TILLIT_WATCHDOG"
# What tillit-verify takes where the variable is not set, in seconds.
_USUAL = 60


async def check(node: Node) -> list[Finding]:
    """One finding, or one thing that is well."""
    subject = node.about("watchdog")
    wanted = node.settings.worker.watchdog_seconds
    value = await global_variable(node, _VARIABLE)
    if (value or str(_USUAL)) == str(wanted):
        return [ok(subject, f"a call whose worker dies is taken back within {wanted} seconds")]
    said = f"the global variable {_VARIABLE} is {value!r}" if value else f"{_VARIABLE} is not set, which means {_USUAL}"
    return [
        DIFFERS.found(
            subject, f"{said}, and [worker] watchdog_seconds is {wanted}",
            f"asterisk -rx 'dialplan set global {_VARIABLE} {wanted}'",
            f"# and write {_VARIABLE}={wanted} below [globals] in /etc/asterisk/extensions.conf (FreePBX: globals_custom.conf)",
        )
    ]  # fmt: skip
