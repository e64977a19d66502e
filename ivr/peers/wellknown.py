"""What a domain publishes of itself at `/.well-known/tillit.json` (RFC 8615), signed by the key that it publishes there."""

from __future__ import annotations

import unicodedata
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from ivr.config import Settings
from ivr.peers.keys import OwnKeys
from ivr.peers.names import domain as domain_of
from ivr.vault.tokens import Verifier, public_key

PATH = "/.well-known/tillit.json"
KIND = "tillit-peer+jwt"
"""Its `typ`: nothing else that is signed by the same key is taken for one."""

LIFE = 24 * 3600
"""Seconds that a document is good: so long can a former one be told by whoever comes to answer for the domain."""
# Seconds by which clocks may differ.
DRIFT = 60
# Characters: twenty departments and numbers, eight steps of succession.
LONGEST = 16_384
_MOST = 20
_NAME = 80


@dataclass(frozen=True, slots=True)
class Key:
    """One that signs letters; `until`: seconds since the epoch, None where it has no end."""

    public: Mapping[str, str]
    until: int | None


@dataclass(frozen=True, slots=True)
class Published:
    """What a domain says, and has signed. The name is its own word: who it is, is the domain."""

    domain: str
    organisation: str
    departments: tuple[str, ...]
    numbers: tuple[str, ...]
    letters: str
    keys: tuple[Key, ...]
    succession: tuple[str, ...]

    @property
    def key(self) -> Mapping[str, str]:
        """The one that has signed it."""
        return self.keys[0].public


def document(settings: Settings, own: OwnKeys, now: float) -> str:
    """Ours, as it is served. To be made anew within `LIFE`."""
    rules = settings.peers
    claims = {
        "iss": rules.domain, "iat": int(now), "exp": int(now) + LIFE,
        "organisation": settings.company.name, "departments": list(rules.departments), "numbers": list(rules.numbers),
        "letters": rules.letters, "keys": own.published(now), "succession": list(own.succession),
    }  # fmt: skip
    return orjson.dumps({"tillit": own.key.sign(claims, kind=KIND)}).decode()


def read(body: bytes, domain: str, now: float) -> Published | str:
    """What this domain has published; what is wrong where it is no such thing, in words without a value."""
    token, claims = _unchecked(body)
    match claims:
        case {"keys": [first, *others]} if len(others) < _MOST:
            keys = [key for key in map(_key, [first, *others]) if key is not None]
        case _:
            return "it is no document of a Tillit"
    if len(keys) != 1 + len(others):
        return "it has keys that are none"
    # by the first alone: a former one signs letters until it ends, and no documents
    found = Verifier([keys[0].public], longest=LONGEST).read(token)
    if found is None or found.kind != KIND:
        return "it is not signed by its own key"
    match found.claims:
        case {
            "iss": str(issuer), "iat": int(begins), "exp": int(ends), "organisation": str(organisation),
            "departments": list(departments), "numbers": list(numbers), "letters": str(letters), "succession": list(succession),
        }:  # fmt: skip
            pass
        case _:
            return "it is no document of a Tillit"
    if issuer != domain:
        return "it is the document of another domain"
    if not (begins - DRIFT <= now < ends and ends - begins <= LIFE):
        return "it is not of today, or its clock or ours is wrong"
    texts = [organisation, *departments, *numbers]
    if not all(is_name(text) for text in texts) or max(len(departments), len(numbers)) > _MOST:
        return "it has a name that cannot be shown"
    if not _is_place(letters):
        return "it has letters sent to what is no address of https"
    steps = tuple(step for step in succession if isinstance(step, str))
    return Published(domain, organisation, tuple(departments), tuple(numbers), letters, tuple(keys), steps)


def is_name(text: object) -> bool:
    """Whether it can be shown as it is: short, and without anything that hides or turns around what stands beside it."""
    return (
        isinstance(text, str)
        and 1 <= len(text.strip()) <= len(text) <= _NAME
        and not any(unicodedata.category(letter)[0] in "CZ" and letter != " " for letter in text)
    )


def _unchecked(body: bytes) -> tuple[str, Any]:
    """The token, and what stands in it before anything of it is believed."""
    try:
        token = orjson.loads(body)["tillit"]
        return token, claims_of(token)
    except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
        return "", None


def claims_of(token: str) -> Any:
    """What a token says, whoever has signed it: for finding out whose key it must be. None where it says nothing."""
    if len(token) > LONGEST or token.count(".") != 2:
        return None
    part = token.split(".")[1]
    try:
        return orjson.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (orjson.JSONDecodeError, ValueError):
        return None


def _key(said: object) -> Key | None:
    public = public_key(said)
    until = said.get("until") if isinstance(said, dict) else None
    return None if public is None or not isinstance(until, int | None) else Key(public, until)


def _is_place(url: str) -> bool:
    """https, by a name, at its own port: an address would not be looked up, and so not judged."""
    try:
        parts = urlsplit(url)
        return (
            parts.scheme == "https" and parts.hostname == domain_of(parts.hostname or "")
            and parts.netloc == parts.hostname and not parts.query and not parts.fragment and url.isascii()
        )  # fmt: skip
    except ValueError:
        return False
