"""The certificate by which what browsers open is spoken to."""

from __future__ import annotations

import ssl

from ivr.config import Settings
from ivr.config.served import Served
from ivr.errors import ConfigError


def tls_of(settings: Settings, table: str = "desk") -> ssl.SSLContext | None:
    """TLS 1.2 or newer with the certificate of the table; None where there is none. Raises `ConfigError`."""
    own: Served = getattr(settings, table)
    if own.tls_certificate_file is None or own.tls_key_file is None:
        return None
    certificate, key = settings.path(own.tls_certificate_file), settings.path(own.tls_key_file)
    place = f"{settings.file}: [{table}] tls_key_file"
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if key.stat().st_mode & 0o077:
            raise ConfigError(place, f"{key} can be read by others", f"Type: chmod 600 {key}")
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except ssl.SSLError:
        raise ConfigError(
            place,
            "they are no certificate and its key",
            "Name files in PEM that belong together, the key without a password",
        ) from None
    except OSError as error:
        raise ConfigError(
            place, f"one cannot be read ({error.strerror})", "Let the user who runs this own both"
        ) from None
    return context
