"""Signatures on the trail (Ed25519, RFC 8032): whoever can write the database but has not the key can sign nothing.

A signature is the text `KEY:BASE64`, where KEY is the identifier of the key that made it. Public keys are given away as
one line of text:

    tillit-audit-public-v1:ID:BASE64
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import NoReturn, Self

import orjson
from Crypto.Signature import eddsa
from Crypto.Signature.eddsa import EdDSASigScheme
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ivr.config import Settings
from ivr.errors import ConfigError, InputError
from ivr.vault import keys
from ivr.vault.keys import Key

_PUBLIC = re.compile(r"tillit-audit-public-v1:(?P<id>[0-9a-f]{8}):(?P<base64>[A-Za-z0-9+/]{43}=)")
_MODE = "rfc8032"


class Verifier:
    """The public keys whose signatures are good."""

    def __init__(self, publics: Iterable[str]) -> None:
        """Raises `InputError` for a line that is no public key."""
        self.publics = tuple(dict.fromkeys(publics))
        self._schemes = dict(_public(text) for text in self.publics)

    def knows(self, signature: str | None) -> bool:
        """Whether the key that it says to be made with is one of these."""
        return signature is not None and signature.partition(":")[0] in self._schemes

    def good(self, signature: str | None, *said: object) -> bool:
        """Whether one of the keys signed just this."""
        if signature is None or not self.knows(signature):
            return False
        name, _, encoded = signature.partition(":")
        try:
            self._schemes[name].verify(_message(said), base64.b64decode(encoded, validate=True))
        except (binascii.Error, ValueError):
            return False
        return True


class Seal:
    """The audit key: signs what its installation writes. It cannot be shown or stored by accident."""

    __slots__ = ("__private", "id", "public", "verifier")

    def __init__(self, key: Key, former: Iterable[str] = ()) -> None:
        """`former`: public keys of before, whose signatures stay good. Raises `InputError` where one is none."""
        self.id = key.id
        # this library signs in a third of the time that the other one takes, and each row waits for it
        self.__private = Ed25519PrivateKey.from_private_bytes(key.derive("audit/ed25519"))
        raw = self.__private.public_key().public_bytes_raw()
        self.public = f"tillit-audit-public-v1:{key.id}:{base64.b64encode(raw).decode()}"
        self.verifier = Verifier((self.public, *former))

    def __repr__(self) -> str:
        return f"<Seal {self.id}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Seal cannot be stored")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        self.__reduce__()

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """The audit key of the settings. Raises `ConfigError` where it is missing, wrong, or can be read by others."""
        try:
            return cls(keys.load_audit(settings), settings.keys.audit_former)
        except InputError as error:
            place = f"{settings.file}: [keys] audit_former"
            raise ConfigError(place, str(error), "Write what `audit key` printed then") from None

    def sign(self, *said: object) -> str:
        """The signature of this: numbers and texts."""
        return f"{self.id}:{base64.b64encode(self.__private.sign(_message(said))).decode()}"


def row_said(chain: str, seq: int, hash: str) -> tuple[object, ...]:
    """What is signed of a row: its place, and its hash, which covers the rest and all rows before it."""
    return ("tillit-audit-row-1", chain, seq, hash)


def _message(said: Iterable[object]) -> bytes:
    return orjson.dumps(list(said))


def _public(text: str) -> tuple[str, EdDSASigScheme]:
    found = _PUBLIC.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError
        key = eddsa.import_public_key(base64.b64decode(found["base64"], validate=True))
        return found["id"], eddsa.new(key, _MODE)
    except (binascii.Error, ValueError):
        raise InputError("is no public key: it is one line, tillit-audit-public-v1:ID:BASE64") from None
