"""Electronic identities: asks a provider to ask a person who they are, and believes nothing that it has not said for certain."""

from __future__ import annotations

from collections.abc import Mapping

from structlog.typing import FilteringBoundLogger

from ivr.call.ports.eid import Eid
from ivr.config import Settings
from ivr.eid.bankid import BankId
from ivr.eid.ciba import Ciba
from ivr.eid.freja import Freja


def eids(settings: Settings, log: FilteringBoundLogger) -> Mapping[str, Eid]:
    """Every provider that the settings name, for people on the phone. Raises `ConfigError` for a file that cannot be used."""
    found: dict[str, Eid] = {name: Ciba.of(settings, name, log) for name in settings.eid.brokers}
    for one in (BankId.of(settings, log), Freja.of(settings, log)):
        if one is not None:
            found[one.name] = one
    return found


__all__ = ["BankId", "Ciba", "Freja", "eids"]
