"""Electronic identities: asks a provider to ask a person who they are, and believes nothing that it has not said for certain."""

from __future__ import annotations

from collections.abc import Mapping

from structlog.typing import FilteringBoundLogger

from ivr.call.ports.eid import Eid
from ivr.config import Settings
from ivr.eid.bankid import BankId
from ivr.eid.ciba import Ciba
from ivr.eid.freja import Freja
from ivr.eid.ping import Pings


def eids(settings: Settings, log: FilteringBoundLogger, pings: Pings | None = None) -> Mapping[str, Eid]:
    """Every provider that the settings name, for people on the phone. Raises `ConfigError` for a file that cannot be used.

    `pings` is to be told of those that come.
    """
    found: dict[str, Eid] = {name: Ciba.of(settings, name, log, pings) for name in settings.eid.brokers}
    for one in (BankId.of(settings, log), Freja.of(settings, log)):
        if one is not None:
            found[one.name] = one
    return found


def pinging(settings: Settings) -> frozenset[str]:
    """The brokers that say by themselves when it is time to look."""
    return frozenset(name for name, rules in settings.eid.brokers.items() if rules.mode == "ping")


__all__ = ["BankId", "Ciba", "Freja", "Pings", "eids", "pinging"]
