"""Points in time as people type them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from ivr.audit.chain import stamp
from ivr.errors import InputError

_AGO = re.compile(r"(?P<count>[0-9]{1,6})(?P<unit>[smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(text: str, option: str) -> str:
    """A time as the audit trail has it; one without a zone is this machine's. Raises `InputError`."""
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return stamp(datetime.now(UTC) - timedelta(**{_UNITS[ago["unit"]]: int(ago["count"])}))
        return stamp(datetime.fromisoformat(text).astimezone())
    except (ValueError, OverflowError):
        raise InputError(
            f"{option}: is no time: write 2026-11-22, 2026-11-22T10:00, or 90m, 2h, 7d for so long ago"
        ) from None


def date_of(at: int) -> str:
    """The day of a time (seconds since the epoch), in UTC as the audit trail has it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
