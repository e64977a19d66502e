"""The desk's own application at Asterisk, by which it calls, and says digits into calls."""

from __future__ import annotations

from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.doctor.node import Node, rows

AWAY = Kind(
    "desk-app-away", Grade.ADVICE,
    "No desk is connected to Asterisk with an application of its own",
    "Until one is, agents can call nobody, and no digits are said into their calls.",
)  # fmt: skip
KINDS = (AWAY,)


async def check(node: Node) -> list[Finding]:
    """Whether a desk has one there; nothing where none is needed."""
    settings, subject = node.settings, node.about("desk")
    if settings.desk.listen is None or (settings.page.url is None and settings.calls.dial is None):
        return []
    prefix = f"desk-{node.asterisk.app}-"
    names = [str(one.get("name")) for one in rows(await node.ari.request("GET", "applications"))]
    there = sorted(name for name in names if name.startswith(prefix))
    if there:
        return [ok(subject, f"is connected to Asterisk as {', '.join(there)}")]
    return [
        AWAY.found(
            subject, f"Asterisk knows no application whose name begins with {prefix}",
            "systemctl start tillit-desk", "journalctl -u tillit-desk -n 20",
        )
    ]  # fmt: skip
