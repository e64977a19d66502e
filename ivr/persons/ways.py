"""By what people identify: apps that their provider is asked about, and brokers that a browser is sent to, and comes back from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from structlog.typing import FilteringBoundLogger

from ivr.call.ports.eid import Eid
from ivr.config import Settings
from ivr.eid import BankId, Freja
from ivr.eid.code import Code
from ivr.errors import ConfigError
from ivr.persons.identifying import Identifying

# Where brokers send people back to, on the public page: to be entered there.
_BACK = "/back"
# What a broker's context must be worth: people are told a name as that of an electronic identity.
LEVEL = 3


@dataclass(frozen=True, slots=True)
class Ways:
    """Each of `[persons] eids`. `close` it."""

    apps: Mapping[str, Identifying]
    brokers: Mapping[str, Code]
    providers: tuple[Eid, ...]

    @classmethod
    def of(cls, settings: Settings, log: FilteringBoundLogger, *, tick: float, poll: float | None) -> Self:
        """`tick` and `poll` as of `Identifying`. Raises `ConfigError` for what is not there, or cannot be used."""
        made: dict[str, Eid] = {}
        for one in (BankId.of(settings, log), Freja.of(settings, log)):
            if one is not None:
                made[one.name] = one
        apps, brokers = {}, {}
        for name in settings.persons.eids:
            if not settings.persons.is_broker(name):
                if name not in made:
                    raise _missing(settings, name, f"eid.{name}")
                apps[name] = Identifying(made[name], log, tick=tick, poll=poll)
                continue
            if name not in settings.eid.brokers:
                raise _missing(settings, name, f"eid.brokers.{name}")
            if LEVEL not in settings.eid.brokers[name].acr.values():
                raise ConfigError(
                    f"{settings.file}: [persons] eids", f"has {name}, of which [eid.brokers.{name}] acr has no context that is worth {LEVEL}",
                    "Nobody could identify by it. Write the context there, or leave it out of eids",
                )  # fmt: skip
            brokers[name] = Code.of(settings, name, f"{(settings.page.url or '').rstrip('/')}{_BACK}", log)
        return cls(apps, brokers, tuple(made.values()))

    async def close(self) -> None:
        """End what is open."""
        for provider in self.providers:
            await provider.close()
        for broker in self.brokers.values():
            await broker.close()


def _missing(settings: Settings, name: str, table: str) -> ConfigError:
    return ConfigError(
        f"{settings.file}: [persons] eids", f"has {name}, and there is no [{table}]",
        "Write that table as docs/eid.md has it, or leave eids out",
    )  # fmt: skip
