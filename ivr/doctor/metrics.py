"""Who can read what monitoring reads."""

from __future__ import annotations

from ipaddress import ip_address

from ivr.config import Metrics, Settings
from ivr.config.listening import split
from ivr.doctor.finding import Finding, Grade, Kind, ok

OPEN = Kind(
    "metrics-open", Grade.ADVICE,
    "The metrics can be read from other machines",
    "They go in clear and without a password: whoever has an address in allow, or is on the way, sees how many call and what is down.",
)  # fmt: skip
KINDS = (OPEN,)


async def check(settings: Settings) -> list[Finding]:
    """Where they are listened for: the worker's, the desk's, the proxy's, the page's."""
    own = settings.desk.metrics, settings.proxy.metrics, settings.page.metrics
    tables = [
        ("[metrics]", settings.metrics),
        *zip(("[desk.metrics]", "[proxy.metrics]", "[page.metrics]"), own, strict=True),
    ]
    return [_of(place, table) for place, table in tables if table.listen or table is settings.metrics]


def _of(place: str, table: Metrics) -> Finding:
    subject = place.strip("[]")
    if table.listen is None or ip_address(split(table.listen)[0]).is_loopback:
        return ok(
            subject,
            f"read on this machine alone ({table.listen})" if table.listen else f"{place} listen is not written",
        )
    allowed = ", ".join(str(address) for address in table.allow)
    return OPEN.found(
        subject, f"{place} listen is {table.listen}, and allow names {allowed}",
        "# see that a firewall lets these addresses alone come to that port, on a network of your own;",
        '# or let it listen on 127.0.0.1, and let what collects for Prometheus run on this machine',
    )  # fmt: skip
