"""Whether the proxy can be used: its certificate, and the CRM behind it."""

from __future__ import annotations

import aiohttp

from ivr.config import Settings, tls
from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.errors import ConfigError
from ivr.web.certificate import tls_of

AWAY = Kind(
    "proxy-upstream", Grade.WARNING,
    "The CRM behind the proxy does not answer",
    "Agents who open the CRM are told that it is away.",
)  # fmt: skip
CERTIFICATE = Kind(
    "proxy-certificate", Grade.WARNING,
    "A certificate of the proxy cannot be used",
    "The proxy does not start, or does not trust the CRM.",
)  # fmt: skip
PASSING = Kind(
    "proxy-passing", Grade.ADVICE,
    "The proxy lets through what no pattern names",
    "Whatever the CRM has elsewhere, and whatever an update of it adds, agents read without a verified caller.",
)  # fmt: skip
UNPROTECTED = Kind(
    "proxy-unprotected", Grade.WARNING,
    "The proxy has no pattern",
    "It protects nothing.",
)  # fmt: skip
KINDS = (AWAY, CERTIFICATE, PASSING, UNPROTECTED)

_SUBJECT = "proxy"


async def check(settings: Settings) -> list[Finding]:
    """As the settings have it; the CRM is asked for its front page, as nobody."""
    proxy = settings.proxy
    if proxy.listen is None or proxy.upstream is None:
        return [ok(_SUBJECT, "[proxy] listen is not written")]
    found = []
    if proxy.others == "pass":
        found.append(
            PASSING.found(
                _SUBJECT, '[proxy] others is "pass"', "# list in free what needs no customer, and leave others out",
            )
        )  # fmt: skip
    if not proxy.patterns:
        found.append(
            UNPROTECTED.found(
                _SUBJECT, "there is no [proxy.patterns.NAME]", "# write a pattern for each address that holds a customer's data"
            )
        )  # fmt: skip
    try:
        tls_of(settings, "proxy")
        trusted = tls.context(settings, "[proxy] upstream", proxy.upstream_ca_file)
    except ConfigError as error:
        return [*found, CERTIFICATE.told(_SUBJECT, error)]
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=proxy.connect_seconds)) as session,
            session.get(proxy.upstream, ssl=trusted, allow_redirects=False) as answer,
        ):
            found.append(ok(_SUBJECT, f"the CRM at {proxy.upstream} answers ({answer.status})"))
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        why, cure = tls.fault(error), (f"curl -sv -o /dev/null {proxy.upstream}",)
        if why is not None:
            found.append(CERTIFICATE.found(_SUBJECT, f"{proxy.upstream}: {why}", f"# {tls.CURE.replace('ca_file', 'upstream_ca_file')}", *cure))  # fmt: skip
        else:
            found.append(AWAY.found(_SUBJECT, f"{proxy.upstream} does not answer ({type(error).__name__})", *cure))
    return found
