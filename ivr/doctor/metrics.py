"""Who can read what monitoring reads."""

from __future__ import annotations

from ipaddress import ip_address

from ivr.config import Settings
from ivr.config.listening import split
from ivr.doctor.finding import Finding, Grade, Kind, ok

OPEN = Kind(
    "metrics-open", Grade.ADVICE,
    "The metrics can be read from other machines",
    "They go in clear and without a password: whoever has an address in allow, or is on the way, sees how many call and what is down.",
)  # fmt: skip
KINDS = (OPEN,)

_SUBJECT = "metrics"


async def check(settings: Settings) -> list[Finding]:
    """Where they are listened for."""
    listen = settings.metrics.listen
    if listen is None or ip_address(split(listen)[0]).is_loopback:
        return [ok(_SUBJECT, f"read on this machine alone ({listen})" if listen else "[metrics] listen is not written")]
    allowed = ", ".join(str(address) for address in settings.metrics.allow)
    return [
        OPEN.found(
            _SUBJECT, f"[metrics] listen is {listen}, and allow names {allowed}",
            "# see that a firewall lets these addresses alone come to that port, on a network of your own;",
            '# or write listen = "127.0.0.1:9469", and let what collects for Prometheus run on this machine',
        )
    ]  # fmt: skip
