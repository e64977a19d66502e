"""A provider's API: TLS with a certificate at both ends, one answer within a time limit."""

from __future__ import annotations

import asyncio
import ssl
import stat
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from cryptography import x509
from structlog.typing import FilteringBoundLogger
from yarl import URL

from ivr.config import Settings, tls
from ivr.errors import ConfigError, EidError
from ivr.outward.address import Address, Addresses
from ivr.outward.client import Answer, Client, Request

# Bytes of an answer: BankID's signature is a document of XML with its certificates in it, in Base64 twice.
_MOST = 256 * 1024


class Peer:
    """One provider's API. What it says when it fails begins with its name, and has no value in it."""

    def __init__(
        self, name: str, url: str, addresses: Iterable[Address], log: FilteringBoundLogger,
        *, trusted: ssl.SSLContext | None, seconds: float, certified: bool = False,
    ) -> None:  # fmt: skip
        """`seconds`: in which an answer must be there; `certified`: `trusted` has a certificate of ours, which it must know."""
        self._name = name
        self._seconds = seconds
        self._client = Client(
            name, URL(url), Addresses(addresses), log, tls=trusted, error=EidError, most=_MOST, certified=certified
        )

    def fault(self, words: str) -> EidError:
        """To be raised for what it has answered."""
        return EidError(f"{self._name}: {words}")

    async def send(self, request: Request) -> Answer:
        """Its answer, whatever it is. Raises `EidError`."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._client.send(request)
        except TimeoutError:
            raise self.fault("it has not answered in time") from None
        except EidError as error:
            raise self.fault(str(error)) from None

    async def reach(self) -> None:
        """Connect to it, and ask for nothing. Raises `EidError`."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._client.reach()
        except TimeoutError:
            raise self.fault("it has not answered in time") from None
        except EidError as error:
            raise self.fault(str(error)) from None

    async def close(self) -> None:
        """End what is open."""
        await self._client.close()


def context(
    settings: Settings, place: str, ca_file: Path | None, certificate_file: Path, key_file: Path
) -> ssl.SSLContext:
    """TLS that shows our certificate, and trusts that CA. `place`: the table, as in `[eid.bankid]`. Raises `ConfigError`."""
    trusted = tls.context(settings, place, ca_file)
    certificates(settings, place, "certificate_file", certificate_file)
    key = settings.path(key_file)
    here = _here(settings, place, "key_file")
    try:
        mode = key.stat().st_mode
        with key.open("rb"):
            pass
    except OSError as error:
        raise ConfigError(here, f"{key} cannot be read ({error.strerror})", "Copy the key there, mode 0600") from None
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(here, f"{key} can be read by others", f"Type: chmod 600 {key}")
    try:
        # a key with a password would have it asked for at the terminal
        trusted.load_cert_chain(settings.path(certificate_file), key, password="")
    except (ssl.SSLError, ValueError):
        raise ConfigError(
            here, f"{key} is not the key of that certificate, or has a password", "Take both out of the file that you got: see docs/eid.md"
        ) from None  # fmt: skip
    return trusted


def certificates(settings: Settings, place: str, field: str, file: Path) -> list[x509.Certificate]:
    """Those of a file, in PEM. `place` and `field` name the setting. Raises `ConfigError`."""
    path, here = settings.path(file), _here(settings, place, field)
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            here, f"{path} cannot be read ({error.strerror})", "Copy the certificate there, in PEM"
        ) from None
    except ValueError:
        raise ConfigError(here, f"{path} holds no certificate in PEM", "Convert it: see docs/eid.md") from None


def _here(settings: Settings, place: str, field: str) -> str:
    return f"{settings.file}: {place} {field}"


def ends(found: Iterable[x509.Certificate]) -> datetime:
    """When the first of these is no longer good, in UTC."""
    return min(one.not_valid_after_utc for one in found)
