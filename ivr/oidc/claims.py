"""An ID token (OpenID Connect Core 3.1.3.7): whether the provider has signed it, for us, now, for this sign-in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from ivr.config.oidc import Oidc

ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
"""Signatures by a key pair: with none, or by a shared secret, anybody who has the secret is the provider."""

# OpenID Connect Core 2: a subject has at most 255 ASCII characters.
_LONGEST = 255


class Refusal(StrEnum):
    """Why nobody is signed in by what the provider has said."""

    SIGNATURE = "signature"
    CLAIMS = "claims"
    """Of another issuer, for another client, too old or too new, or of another sign-in."""
    CONTEXT = "context"
    """Not by what the settings demand (`acr`, `amr`)."""
    CODE = "code"
    """The provider does not take the code: it was used, or is another's."""
    ERROR = "error"
    """The provider says no, or the person has changed their mind."""
    ISSUER = "issuer"
    """It was another provider that answered (RFC 9207)."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Who this is at the provider. `login`: by `link_by`, where that is verified; `groups`: None where there is no such claim.

    `age`: seconds since this person has signed in there, which may have been before; None where it does not say (`auth_time`).
    """

    subject: str
    login: str | None
    groups: frozenset[str] | None
    age: float | None


def read(token: str, keys: KeySet, algorithms: frozenset[str], rules: Oidc, nonce: str, now: float) -> Claims | Refusal:
    """What it says, where all of it is as it must be. Raises `UnknownKey` where it names a key that is not among these."""
    try:
        found = jwt.decode(token, keys, algorithms=sorted(algorithms & ALGORITHMS))
    except (JoseError, ValueError, TypeError, KeyError):
        return Refusal.SIGNATURE
    said = found.claims
    wanted = jwt.JWTClaimsRegistry(
        now=int(now), leeway=rules.skew_seconds, iss=_is(rules.issuer), aud=_is(rules.client_id), nonce=_is(nonce),
        exp={"essential": True}, iat={"essential": True}, sub={"essential": True},
    )  # fmt: skip
    try:
        wanted.validate(said)
    except JoseError:
        return Refusal.CLAIMS
    subject = said["sub"]
    if not (0 < len(subject) <= _LONGEST and subject.isascii() and subject.isprintable()):
        return Refusal.CLAIMS
    others = said["aud"] if isinstance(said["aud"], list) else [said["aud"]]
    authorised = said.get("azp", rules.client_id if len(others) == 1 else None)
    if authorised != rules.client_id or not isinstance(said["nonce"], str) or not isinstance(said["iss"], str):
        return Refusal.CLAIMS
    if rules.acr and said.get("acr") not in rules.acr:
        return Refusal.CONTEXT
    if not set(rules.amr) <= (_texts(said.get("amr")) or frozenset()):
        return Refusal.CONTEXT
    return Claims(
        subject, _login(said, rules), _texts(said.get(rules.groups_claim)), _age(said.get("auth_time"), now, rules)
    )


def _is(value: str) -> jwt.ClaimsOption:
    return {"essential": True, "value": value}


def _login(said: Mapping[str, Any], rules: Oidc) -> str | None:
    found = None if rules.link_by is None else said.get(rules.link_by)
    # logins are ASCII, and of other letters some become that when they are folded: the Kelvin sign is a k, the long s an s
    if not isinstance(found, str) or not found or not found.isascii():
        return None
    if rules.link_by == "email" and said.get("email_verified") is not True:
        return None
    return found.casefold()


def _age(at: object, now: float, rules: Oidc) -> float | None:
    return max(0.0, now - at) if isinstance(at, int) and at <= now + rules.skew_seconds else None


def _texts(found: object) -> frozenset[str] | None:
    if isinstance(found, str):
        return frozenset({found})
    return frozenset(one for one in found if isinstance(one, str)) if isinstance(found, list) else None
