"""Whether data is kept no longer than the settings say."""

from __future__ import annotations

from sqlalchemy import func, select

from ivr.audit.retention import due
from ivr.audit.table import AUDIT
from ivr.audit.verify import anchors_in
from ivr.config import Settings
from ivr.database import Database
from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.errors import ConfigError
from ivr.retention import oldest

OVERDUE = Kind(
    "retention", Grade.WARNING,
    "Rows of the audit trail are kept longer than the settings say",
    "You keep what you have promised to delete. A running worker deletes it every hour.",
)  # fmt: skip
KINDS = (OVERDUE,)

# Days that a worker may have stood still, and waits then (`audit.steady`).
_GRACE = 2


async def check(settings: Settings) -> list[Finding]:
    """How old the trail is, against what the settings say."""
    try:
        database = await Database.open(settings)
    except ConfigError:
        return []  # told of elsewhere
    async with database:
        async with database.read() as connection:
            first = (await connection.execute(select(func.min(AUDIT.c.at)))).scalar()
        since = f"its oldest row is of {str(first)[:10]}" if first else "it is empty"
        days = settings.retention.audit_days
        if days is None:
            return [ok("retention", f"the audit trail is kept for ever ([retention] audit_days); {since}")]
        begins = {anchor.chain: anchor.seq for anchor in await anchors_in(database)}
        left = await due(database, oldest(days + _GRACE))
        if not any(upto > begins.get(chain, 0) for chain, upto in left.items()):
            return [ok("retention", f"the audit trail is kept for {days} days; {since}")]
    return [
        OVERDUE.found(
            "retention", f"the audit trail is to be kept for {days} days, and {since}",
            "systemctl start tillit", "journalctl -u tillit -g retention -n 5",
        )
    ]  # fmt: skip
