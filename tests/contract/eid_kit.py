"""What the tests of electronic identities share: certificates at both ends, settings, canaries."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from rig.certificates import Authority

from ivr.call.ports.eid import EidAsked
from ivr.config import Settings
from ivr.secret import Secret
from tests.contract.ari_log import Log, texts
from tests.contract.texts_kit import settings_in

# of Skatteverket's numbers for tests
WHO, ANOTHER = "198001012392", "199001012385"
NAME = "Karl Canaryson"
NONCE = "nonce-canary-7d1f"


class Ends:
    """Both ends' certificates: a CA for the provider, another one for those who ask it, and one of a stranger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.theirs, self.ours, self.strangers = (Authority(folder, name) for name in ("theirs", "ours", "strangers"))
        self.server = self.theirs.issue("127.0.0.1")
        self.client = self.ours.issue("rp.example")
        self.stranger = self.strangers.issue("rp.example")

    def tls(self) -> ssl.SSLContext:
        """The provider's side: it wants a certificate, and knows ours."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.ours.file))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self.server.chain, self.server.key)
        return context

    def settings(self, table: str, url: str, **own: object) -> Settings:
        """Settings with this table of a provider, which is at that address."""
        fields: dict[str, object] = {
            "url": url,
            "certificate_file": str(self.client.chain),
            "key_file": str(self.client.key),
            "ca_file": str(self.theirs.file),
            "allow_private": ["127.0.0.1"],
        }
        tables: Mapping[str, Mapping[str, object]] = {table: {**fields, **own}}
        return settings_in(self.folder, **tables)


def self_signed(key: rsa.RSAPrivateKey, days: int = 30) -> x509.Certificate:
    """A certificate of a provider for what it signs."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "results")])
    now = datetime.now(UTC)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    built = built.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
    return built.not_valid_after(now + timedelta(days=days)).sign(key, hashes.SHA256())


def asked(**other: object) -> EidAsked:
    """Somebody on the phone, who has called."""
    fields: dict[str, object] = {
        "who": Secret(WHO), "caller_began": True, "shown": "You called Acme. Anna A. asks who you are.", "nonce": NONCE
    }  # fmt: skip
    return EidAsked(**{**fields, **other})  # type: ignore[arg-type]


def shown(error: BaseException | None, log: Log, *things: object) -> str:
    """Everything that can be seen of an error, in a log, and of what is handed about."""
    return "\n".join([*texts(error), *map(str, log.lines), *map(repr, things)])


def no_canary(told: str, *more: str) -> None:
    """No person's number or name, and no secret."""
    canaries = (WHO, WHO[2:], ANOTHER, NAME, "Canaryson", NONCE, "canary", *more)
    assert not [canary for canary in canaries if canary in told], told
