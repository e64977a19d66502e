"""Connections that are encrypted, and those that may go in clear: only such as do not leave this machine."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

from ivr.config.models import Settings
from ivr.errors import ConfigError

CURE = "Name the file of the CA's certificate in ca_file, and address it by a name that stands in its own certificate"


def context(settings: Settings, place: str, ca_file: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or newer, certificate and name checked: against this CA alone, or against those that the system trusts.

    `place` is the table, as in `[redis]`. Raises `ConfigError` for a file that is missing or holds no certificate.
    """
    if ca_file is None:
        return ssl.create_default_context()
    place, path = f"{settings.file}: {place} ca_file", settings.path(ca_file)
    try:
        return ssl.create_default_context(cafile=str(path))
    except ssl.SSLError:
        raise ConfigError(place, f"{path} holds no certificate", "Name a file of certificates in PEM") from None
    except OSError as error:
        raise ConfigError(
            place, f"{path} cannot be read ({error.strerror})", "Copy the CA's certificate there"
        ) from None


def fault(error: BaseException) -> str | None:
    """What was wrong with the certificate or with TLS, where that is why a connection failed; without values of ours."""
    for one in _chain(error):
        # aiohttp's errors are of these classes too, without what belongs to them
        if said := getattr(one, "verify_message", None):
            return f"its certificate is not trusted: {str(said).rstrip('.')}"
        if isinstance(one, ssl.SSLError) and (reason := getattr(one, "reason", None)):
            return f"it does not speak TLS as it should ({str(reason).replace('_', ' ').lower()})"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it came of: libraries wrap it in their own."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        # so aiohttp keeps it
        inner = getattr(seen, "certificate_error", None)
        seen = inner if isinstance(inner, BaseException) else seen.__cause__ or seen.__context__
