"""A passkey in software (WebAuthn level 2, attestation none), which tests can have lie."""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

UP, UV, BE, BS, AT = 1, 4, 8, 16, 64


def text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def data(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Authenticator:
    """One key. `counts`: whether it counts its signatures; `flags`: what it says of its user and itself."""

    origin: str = "https://desk.example.com"
    flags: int = UP | UV
    counts: bool = True
    count: int = 0
    id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    handle: bytes = b""
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def make(self, options: dict[str, Any], **lies: Any) -> str:
        """What a browser answers to `navigator.credentials.create`."""
        self.handle = data(options["user"]["id"])
        point = self.key.public_key().public_numbers()
        public = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32), -3: point.y.to_bytes(32)})
        attested = bytes(16) + len(self.id).to_bytes(2) + self.id + public
        about = self._about(lies.get("rp", options["rp"]["id"]), lies.get("flags", self.flags) | AT) + attested
        made = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": about})
        client = self._client("webauthn.create", options, lies)
        return self._answer({"clientDataJSON": text(client), "attestationObject": text(made)})

    def show(self, options: dict[str, Any], **lies: Any) -> str:
        """What a browser answers to `navigator.credentials.get`."""
        if self.counts:
            self.count += 1
        about = self._about(lies.get("rp", options["rpId"]), lies.get("flags", self.flags))
        client = self._client(lies.get("type", "webauthn.get"), options, lies)
        signed = self.key.sign(about + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer(
            {
                "clientDataJSON": text(client), "authenticatorData": text(about),
                "signature": text(lies.get("signature", signed)), "userHandle": text(self.handle),
            }
        )  # fmt: skip

    def _about(self, rp: str, flags: int) -> bytes:
        return hashlib.sha256(rp.encode()).digest() + bytes([flags]) + self.count.to_bytes(4)

    def _client(self, kind: str, options: dict[str, Any], lies: dict[str, Any]) -> bytes:
        said = {"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False}
        return json.dumps({**said, **{k: v for k, v in lies.items() if k in said}}).encode()

    def _answer(self, response: dict[str, str]) -> str:
        named = text(self.id)
        return json.dumps({"id": named, "rawId": named, "type": "public-key", "response": response})
