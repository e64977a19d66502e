"""The key of the public page: what little is kept of links, codes and digits is worth nothing without it.

It is none of the vault's keys: the process that faces the internet has it, and has none of those. One line of text,

    tillit-page-v1:BASE64

with 32 random bytes in BASE64. Who loses it loses the proofs that wait for their answer, and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from pathlib import Path
from typing import NoReturn, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ivr.config import Settings, secret_of
from ivr.errors import ConfigError, StoreError
from ivr.secret import Secret

_LENGTH = 32
# of AES-GCM (NIST SP 800-38D 8.2.2: random ones, and far fewer than 2^32 of them)
_NONCE = 12
_LINE = re.compile(r"tillit-page-v1:(?P<base64>[A-Za-z0-9+/]{43}=)")


class PageKey:
    """Keyed hashes of what is found or compared, and encryption of what must be read again. It cannot be shown or stored by accident."""

    __slots__ = ("__hashes", "__seals")

    def __init__(self, material: bytes) -> None:
        if len(material) != _LENGTH:
            raise ValueError(f"a key has {_LENGTH} bytes")
        self.__hashes = _derived(material, "mac")
        self.__seals = AESGCM(_derived(material, "seal"))

    def __repr__(self) -> str:
        return "<PageKey>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a PageKey cannot be stored")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        self.__reduce__()

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """That of `[page] key_file`; raises `ConfigError`."""
        page = settings.page
        if not settings.path(page.key_file).exists():
            raise ConfigError(
                f"{settings.file}: [page] key_file", f"{settings.path(page.key_file)} is missing",
                "Type, where the desk is: ari_app.py init; and give the page process a copy of its own, mode 0600",
            )  # fmt: skip
        text = secret_of(settings, "[page] key", page.key_file, None)
        material = None if text is None else _material(text)
        if material is None:
            raise ConfigError(
                f"{settings.file}: [page] key_file",
                f"{settings.path(page.key_file)} holds no page key: one line, tillit-page-v1:BASE64, of {_LENGTH} bytes",
                "Remove it, and type: ari_app.py init; then give the page process the new one",
            )
        return cls(material)

    def mac(self, kind: str, text: Secret, *bound: str) -> str:
        """HMAC-SHA-256 of the text over what it is for and what it is bound to: 64 hexadecimal digits."""
        return hmac.new(self.__hashes, _joined(kind, *bound, text.reveal()), hashlib.sha256).hexdigest()

    def seal(self, kind: str, text: Secret, *bound: str) -> str:
        """The text by AES-256-GCM, to be opened for the same use, and bound to the same, alone."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = self.__seals.encrypt(nonce, text.reveal().encode(errors="replace"), _joined(kind, *bound))
        return base64.b64encode(nonce + sealed).decode()

    def unseal(self, kind: str, sealed: str | bytes, *bound: str) -> Secret:
        """What was sealed; raises `StoreError` for what this key has not sealed for this use."""
        try:
            raw = base64.b64decode(sealed, validate=True)
            return Secret(self.__seals.decrypt(raw[:_NONCE], raw[_NONCE:], _joined(kind, *bound)).decode())
        except (InvalidTag, ValueError):
            raise StoreError(
                "Redis holds something that the page key has not sealed: have both sides the same one?"
            ) from None


def missing(settings: Settings) -> Path | None:
    """Where the key is to be, where there is a page and no key yet."""
    file = settings.path(settings.page.key_file)
    return file if settings.page.url is not None and not file.exists() else None


def line() -> bytes:
    """A new key, as it stands in its file."""
    return b"tillit-page-v1:" + base64.b64encode(secrets.token_bytes(_LENGTH)) + b"\n"


def _material(text: Secret) -> bytes | None:
    found = _LINE.fullmatch(text.reveal())
    if found is None:
        return None
    try:
        return base64.b64decode(found["base64"], validate=True)
    except binascii.Error:
        return None


def _derived(material: bytes, use: str) -> bytes:
    return hmac.new(material, f"tillit/page/{use}".encode(), hashlib.sha256).digest()


def _joined(*parts: str) -> bytes:
    """Each part with its length before it: no two lists of parts become the same."""
    encoded = [part.encode(errors="surrogatepass") for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
