"""What a gateway is, and what each takes from its table of the settings."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from yarl import URL

from ivr.call.ports import Handed
from ivr.config import Settings, secret_of
from ivr.errors import ConfigError
from ivr.outward.address import Address, Addresses
from ivr.secret import Personal, Secret


class Gateway(Protocol):
    """A way for text messages to go out."""

    async def send(self, to: Personal, text: Secret) -> Handed:
        """Hand the text over; returns when it was taken, with what the gateway calls it.

        Raises `TextError` where texts to other numbers would fail as well. What is about this number alone is
        `NumberRefused`: what one text met with is what callers are told whose customer number nobody has.
        """
        ...

    async def reach(self) -> None:
        """Connect to it, and send nothing. Raises `TextError` where it does not answer as a gateway could."""
        ...

    async def close(self) -> None:
        """End what is open."""
        ...


@dataclass(frozen=True, slots=True)
class Table:
    """The table `[texts.NAME]` of a gateway."""

    settings: Settings
    name: str

    def fault(self, field: str, problem: str, cure: str) -> ConfigError:
        """What is wrong with a field of it."""
        return ConfigError(f"{self.settings.file}: [texts.{self.name}] {field}", problem, cure)

    def needed(self, field: str, value: str | None, cure: str) -> str:
        """The value of a field that this gateway cannot do without."""
        if not value:
            raise self.fault(field, "is missing", cure)
        return value

    def secret(self, field: str, file: Path | None, variable: str | None) -> Secret | None:
        """What the field's file or environment variable holds; None where neither is named."""
        return secret_of(self.settings, f"[texts.{self.name}] {field}", file, variable)

    def password(self, file: Path | None, variable: str | None) -> Secret:
        """The same, of `password`, where it cannot be done without."""
        password = self.secret("password", file, variable)
        if password is None:
            raise self.fault("password_file", "is missing", "Name the file that holds the password")
        return password

    def reach(self, url: str, named: Iterable[Address]) -> tuple[URL, Addresses]:
        """Where the gateway is, and the addresses that it may be at.

        Raises `ConfigError` where texts would go there in clear, or where it is an address that they may not go to.
        """
        try:
            parsed = URL(url)
            host = parsed.host or ""
        except ValueError:
            raise self.fault("url", "is no URL", "Write https://HOST/PATH") from None
        addresses = Addresses(named)
        try:
            literal = ipaddress.ip_address(host)
        except ValueError:
            literal = None
        if literal is not None and not addresses.allows(literal):
            raise self.fault("url", "is a private address", f'Write allow_private = ["{literal}"] if it is meant')
        if parsed.scheme not in ("https", "smpps") and (literal is None or not addresses.names(literal)):
            raise self.fault(
                "url", f"is {parsed.scheme}://: texts and passwords would go there in clear",
                f"Write {parsed.scheme}s://; or the gateway's address itself, and the same in allow_private",
            )  # fmt: skip
        return parsed, addresses
