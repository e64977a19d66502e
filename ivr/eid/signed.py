"""What a provider has signed (RFC 7515), by a certificate that was fetched beforehand and by no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from joserfc.jws import JWSRegistry, deserialize_compact

from ivr.config import Settings
from ivr.eid.mutual import certificates
from ivr.errors import ConfigError

Key: TypeAlias = RSAKey

# By a key pair alone: with none, or by a shared secret, whoever has the certificate is the provider.
_ALGORITHMS = ("RS256", "RS384", "RS512")


class _Registry(JWSRegistry):
    """Takes headers that name the signer's certificates, as long as those are. They are not looked at."""

    max_header_length = 16 * 1024


_REGISTRY = _Registry(algorithms=_ALGORITHMS, strict_check_header=False)


def pinned(settings: Settings, place: str, field: str, file: Path) -> Sequence[Key]:
    """The keys of the certificates in a file. `place` and `field` name the setting. Raises `ConfigError`."""
    found = certificates(settings, place, field, file)
    if not all(isinstance(one.public_key(), RSAPublicKey) for one in found):
        raise ConfigError(
            f"{settings.file}: {place} {field}", f"{settings.path(file)} has a key that is not RSA", "Copy the provider's certificate for results there"
        )  # fmt: skip
    return [RSAKey.import_key(one.public_bytes(Encoding.PEM)) for one in found]


def verified(text: str, keys: Sequence[Key]) -> Mapping[str, Any] | None:
    """What is signed, as JSON; None where none of these keys has signed it, or it is no JSON."""
    for key in keys:
        try:
            said = orjson.loads(deserialize_compact(text, key, registry=_REGISTRY).payload)
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            continue
        return said if isinstance(said, dict) else None
    return None
