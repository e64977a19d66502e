"""Whether other organisations find who we are at our own domain, and whether that is what our key says."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import structlog
from aiohttp.abc import AbstractResolver

from ivr.config import Settings
from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.errors import ConfigError, PeerError
from ivr.peers import wellknown
from ivr.peers.fetch import Fetcher
from ivr.peers.keys import OwnKeys

SETTINGS = Kind(
    "peers-settings", Grade.FAULT,
    "The key that we prove ourselves to other organisations with cannot be used",
    "The desk does not start.",
)  # fmt: skip
AWAY = Kind(
    "peers-away", Grade.WARNING,
    "Our domain does not tell other organisations who we are",
    "They take nothing that we prove to them.",
)  # fmt: skip
OTHER = Kind(
    "peers-other", Grade.WARNING,
    "Our domain tells of another key than the one that is here",
    "Others take nothing that this desk signs; or whoever answers for our domain is not us.",
)  # fmt: skip
UNNUMBERED = Kind(
    "peers-unnumbered", Grade.WARNING,
    "No telephone number of ours is known, neither here nor to other organisations",
    "Somebody who is on a call with us and with them at the same time, and repeats to the one what the other says, is not seen.",
)  # fmt: skip
KINDS = (SETTINGS, AWAY, OTHER, UNNUMBERED)

_SUBJECT = "peers"


async def check(
    settings: Settings, resolver: AbstractResolver | None = None, clock: Callable[[], float] = time.time
) -> list[Finding]:
    """As another organisation asks. `resolver`: the DNS, where it is not this machine's."""
    domain = settings.peers.domain
    if domain is None:
        return [ok(_SUBJECT, "[peers] domain is not written")]
    log = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        own, fetcher = OwnKeys.open(settings), Fetcher.of(settings, log, resolver)
    except ConfigError as error:
        return [SETTINGS.told(_SUBJECT, error)]
    url = f"https://{domain}{wellknown.PATH}"
    try:
        found = wellknown.read(await fetcher.document(domain), domain, clock())
    except PeerError as error:
        return [
            AWAY.found(
                _SUBJECT, str(error), f"curl -sv {url}",
                "# and see that the desk and the page run, that what stands before the page leads this path to it, and that a desk of this version was started",
            )
        ]  # fmt: skip
    if isinstance(found, str):
        return [AWAY.found(_SUBJECT, f"{url}: {found}", f"curl -sv {url}", "# and see what stands before the page")]
    if found.key["kid"] != own.key.id:
        return [
            OTHER.found(
                _SUBJECT, f"{url} is signed by {found.key['kid']}, and the key here is {own.key.id}",
                "# copy the file of [peers] key_file from the desk that has the latest one to every other one, and start them anew",
            )
        ]  # fmt: skip
    if not found.numbers:
        return [
            UNNUMBERED.found(
                _SUBJECT, f"{url} has no numbers", "# write the numbers that others call us at into [peers] numbers, at every desk, and start them anew",
            )
        ]  # fmt: skip
    return [ok(_SUBJECT, f"{url} is signed by the key that is here")]
