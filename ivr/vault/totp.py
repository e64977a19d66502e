"""Codes of an authenticator app: TOTP (RFC 6238), six digits, half a minute each, SHA-1, as every app reads them."""

from __future__ import annotations

import hmac

import pyotp

from ivr.secret import Secret

SECONDS = 30
DIGITS = 6
_DRIFT = 1
"""Steps by which a phone's clock may be wrong, each way (RFC 6238 5.2: one for the way)."""


def new() -> Secret:
    """A new key: 160 random bits in Base32 (RFC 4226 4, R6)."""
    return Secret(pyotp.random_base32(32))


def uri(key: Secret, login: str, company: str) -> Secret:
    """What an app reads from a QR code; as secret as the key in it."""
    return Secret(pyotp.TOTP(key.reveal(), interval=SECONDS).provisioning_uri(name=login, issuer_name=company))


def step_of(key: Secret, code: Secret, at: float) -> int | None:
    """The time step that this is the code of; None where it is of none that counts. `at`: seconds since the epoch.

    Takes the same time wherever it is, and is not.
    """
    now, found = int(at) // SECONDS, None
    for step in range(max(0, now - _DRIFT), now + _DRIFT + 1):
        if hmac.compare_digest(_digits(code), pyotp.TOTP(key.reveal(), interval=SECONDS).generate_otp(step).encode()):
            found = step
    return found


def _digits(code: Secret) -> bytes:
    """As apps show them, with a space in the middle, and as people type them."""
    return bytes("".join(code.reveal()[: 4 * DIGITS].split()), "utf-8", "replace")
