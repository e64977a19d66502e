"""Providers of electronic identities: their files, when certificates end, whether they answer. Nobody is asked for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial

import structlog
from structlog.typing import FilteringBoundLogger

from ivr.call.ports.eid import Eid
from ivr.config import Settings
from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.eid import BankId, Ciba, Freja
from ivr.eid.mutual import certificates, ends
from ivr.errors import ConfigError, EidError

SETTINGS = Kind(
    "eid-settings", Grade.FAULT,
    "A file of a provider of electronic identities cannot be used",
    "Nobody can identify by it.",
)  # fmt: skip
AWAY = Kind(
    "eid-away", Grade.WARNING,
    "A provider of electronic identities does not answer as it must",
    "Nobody can identify by it.",
)  # fmt: skip
ENDS = Kind(
    "eid-certificate-ends", Grade.WARNING,
    "A certificate for a provider of electronic identities ends soon, or has ended",
    "From then on it refuses us, or its results are not believed.",
)  # fmt: skip
KINDS = (SETTINGS, AWAY, ENDS)

# A new one of ours takes an agreement, an order and a day or two.
_SOON = 30 * 86400


async def check(settings: Settings, clock: Callable[[], float] = time.time) -> list[Finding]:
    """Nothing where there is none."""
    log = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    found: list[Finding] = []
    for subject, made in _providers(settings, log):
        try:
            one = made()
            troubles = _ends(settings, subject, clock())
        except ConfigError as error:
            found.append(SETTINGS.told(subject, error))
            continue
        try:
            await one.reach()
        except EidError as error:
            cure = f"# compare [eid.{subject}] with what the provider has written to you, and see whether a firewall lets this machine out"
            troubles.append(AWAY.found(subject, str(error), cure))
        finally:
            await one.close()
        found += troubles or [ok(subject, "answers, and its certificates are good for more than 30 days")]
    return found


def _providers(settings: Settings, log: FilteringBoundLogger) -> Iterator[tuple[str, Callable[[], Eid]]]:
    """Each table below `[eid]`, and how to make its provider: what is wrong with one is told beside the others."""
    if settings.eid.bankid is not None:
        yield "bankid", lambda: _there(BankId.of(settings, log))
    if settings.eid.freja is not None:
        yield "freja", lambda: _there(Freja.of(settings, log))
    for name in settings.eid.brokers:
        yield f"brokers.{name}", partial(Ciba.of, settings, name, log)


def _there(one: Eid | None) -> Eid:
    assert one is not None
    return one


def _ends(settings: Settings, subject: str, now: float) -> list[Finding]:
    """The certificates of a provider that end soon. Raises `ConfigError`."""
    files = {}
    if subject == "bankid" and (bankid := settings.eid.bankid) is not None:
        files = {"certificate_file": bankid.certificate_file}
    if subject == "freja" and (freja := settings.eid.freja) is not None:
        files = {
            "certificate_file": freja.certificate_file,
            "signing_certificate_file": freja.signing_certificate_file,
        }
    found = []
    for field, file in files.items():
        held = certificates(settings, f"[eid.{subject}]", field, file)
        # one that signs may have its successor beside it; of a chain the first to end breaks it
        signs = field == "signing_certificate_file"
        end = max(one.not_valid_after_utc for one in held) if signs else ends(held)
        if end.timestamp() - now < _SOON:
            word = "ended" if end.timestamp() <= now else "ends"
            found.append(
                ENDS.found(
                    subject, f"{settings.path(file)} {word} on {end:%Y-%m-%d}", f"# put the new one there, [eid.{subject}] {field}: see docs/eid.md"
                )
            )  # fmt: skip
    return found
