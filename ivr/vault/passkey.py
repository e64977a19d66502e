"""Passkeys (WebAuthn level 2): what a browser is asked for, and whether its answer proves what it must."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Self
from urllib.parse import urlsplit

import orjson
import webauthn
from webauthn.helpers import (
    base64url_to_bytes,
    bytes_to_base64url,
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.options_to_json_dict import options_to_json_dict
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

SECONDS = 300
"""How long a challenge is good for: time to fetch a key, or a phone."""

MOST = 8 * 1024
"""Characters of an answer; those of today's keys have some hundreds, with attestation some thousands."""


@dataclass(frozen=True, slots=True)
class Party:
    """The relying party: `id` is the host's name, `origin` what a browser says that it asks for, `name` is shown."""

    id: str
    origin: str
    name: str

    @classmethod
    def of(cls, url: str | None, name: str) -> Self | None:
        """Of what browsers call the desk; None where passkeys cannot be: they belong to a name, and an address has none."""
        if url is None:
            return None
        parts = urlsplit(url.lower())
        host, usual = parts.hostname or "", {"http": 80, "https": 443}[parts.scheme]
        try:
            ip_address(host)
        except ValueError:
            port = "" if parts.port in (None, usual) else f":{parts.port}"
            return cls(host, f"{parts.scheme}://{host}{port}", name)
        return None


@dataclass(frozen=True, slots=True)
class Passkey:
    """One that is registered: `credential` and `public_key` as the browser gave them, `name` as its owner calls it.

    `synced`: it lies with its owner's other devices too.
    """

    credential: bytes
    public_key: bytes
    name: str
    synced: bool

    def to_bytes(self) -> bytes:
        """As it is sealed."""
        return orjson.dumps(
            {
                "credential": bytes_to_base64url(self.credential), "public_key": bytes_to_base64url(self.public_key),
                "name": self.name, "synced": self.synced,
            }
        )  # fmt: skip

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises `ValueError` for what is none."""
        found = orjson.loads(data)
        return cls(
            base64url_to_bytes(found["credential"]), base64url_to_bytes(found["public_key"]),
            found["name"], found["synced"],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """What an answer says of itself, before any of it is believed."""

    challenge: bytes
    credential: bytes
    handle: bytes | None
    """Whose it is, as it was told when it was made; None of one that was just made."""


@dataclass(frozen=True, slots=True)
class Proof:
    """The key was there. `verified`: and the device made sure of its user, by PIN or body. `count`: of its signatures; 0 where it has none."""

    count: int
    verified: bool
    synced: bool


def named(credential: bytes) -> str:
    """What a passkey is found by: SHA-256, as identifiers may be longer than a column."""
    return hashlib.sha256(credential).hexdigest()


def creation(
    party: Party, challenge: bytes, *, handle: str, login: str, name: str, known: Iterable[bytes]
) -> dict[str, Any]:
    """What a browser makes a new passkey of. `known`: the person's others, so that no device has two."""
    options = webauthn.generate_registration_options(
        rp_id=party.id, rp_name=party.name, user_id=handle.encode(), user_name=login, user_display_name=name,
        challenge=challenge, timeout=SECONDS * 1000,
        authenticator_selection=AuthenticatorSelectionCriteria(
            # found by the device itself: nobody is told which keys a login has
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=one) for one in known],
    )  # fmt: skip
    return options_to_json_dict(options)


def request(party: Party, challenge: bytes, *, alone: bool) -> dict[str, Any]:
    """What a browser shows a passkey for; the same for everybody. `alone`: nothing else is asked for."""
    asked = UserVerificationRequirement.REQUIRED if alone else UserVerificationRequirement.PREFERRED
    options = webauthn.generate_authentication_options(
        rp_id=party.id, challenge=challenge, timeout=SECONDS * 1000, user_verification=asked
    )
    return options_to_json_dict(options)


def shown(answer: str, *, new: bool) -> Shown | None:
    """Which challenge is answered with which key; None where it is no answer. `new`: of a key that was just made."""
    if len(answer) > MOST:
        return None
    try:
        handle = None
        if new:
            parsed: Any = parse_registration_credential_json(answer)
        else:
            parsed = parse_authentication_credential_json(answer)
            handle = parsed.response.user_handle
        client = parse_client_data_json(parsed.response.client_data_json)
        # in another site's frame nobody sees whom a key is shown to
        if client.cross_origin:
            return None
        return Shown(client.challenge, parsed.raw_id, handle)
    except Exception:  # noqa: BLE001 (the library raises what it likes for what is malformed)
        return None


def made(party: Party, challenge: bytes, answer: str, name: str) -> tuple[Passkey, int] | None:
    """The new passkey, and its count; None where the answer is not good. Attestation is not asked for: any key will do."""
    try:
        found = webauthn.verify_registration_response(
            credential=answer, expected_challenge=challenge, expected_rp_id=party.id, expected_origin=party.origin,
            require_user_verification=True,
        )  # fmt: skip
    except Exception:  # noqa: BLE001 (as above)
        return None
    synced = found.credential_device_type is CredentialDeviceType.MULTI_DEVICE
    return Passkey(found.credential_id, found.credential_public_key, name, synced), found.sign_count


def proved(party: Party, challenge: bytes, answer: str, passkey: Passkey, *, alone: bool) -> Proof | None:
    """What the answer proves of this passkey; None where it proves nothing. Whether its count went up is the store's to say."""
    try:
        found = webauthn.verify_authentication_response(
            credential=answer, expected_challenge=challenge, expected_rp_id=party.id, expected_origin=party.origin,
            credential_public_key=passkey.public_key, credential_current_sign_count=0,
            require_user_verification=alone,
        )  # fmt: skip
    except Exception:  # noqa: BLE001 (as above)
        return None
    synced = found.credential_device_type is CredentialDeviceType.MULTI_DEVICE
    return Proof(found.new_sign_count, found.user_verified, synced)
