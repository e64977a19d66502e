"""Keys that sign tokens: Ed25519 (RFC 8037), by a library, which alone sees what is private of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import GuestProtocol, OKPKey
from joserfc.jws import JWSRegistry
from joserfc.registry import Header

from ivr.errors import VaultError
from ivr.vault.envelope import Envelope

ALGORITHM = "EdDSA"
"""As tokens name it. RFC 9864 has a newer name, `Ed25519`, which few of those know who check tokens."""

_PRIVATE = "private"
# A token of ours is never longer.
_LONGEST = 4096
# RFC 8037 2: 32 bytes in base64url, without padding.
_POINT = re.compile(r"[A-Za-z0-9_-]{43}")


class _OneAlgorithm(JWSRegistry):
    """Knows this one, and does not warn of its name at each token."""

    def get_alg(self, name: str) -> Any:
        if name != ALGORITHM:
            raise JoseError("another algorithm")
        return self.algorithms[name]

    def check_header(self, header: Header) -> None:
        """A token of ours says three things of itself, and nobody is to follow where it leads (`jku`, `x5u`, `jwk`)."""
        super().check_header(header)
        if set(header) != {"alg", "kid", "typ"}:
            raise JoseError("another header")


_REGISTRY = _OneAlgorithm()


class TokenKey:
    """A key that cannot be shown or stored by accident; `id` is its thumbprint (RFC 7638)."""

    __slots__ = ("__key", "id", "public")

    def __init__(self, key: OKPKey) -> None:
        self.__key = key
        self.id = key.thumbprint()
        self.public: Mapping[str, str] = {
            **_texts(key.as_dict(private=False)), "kid": self.id, "alg": ALGORITHM, "use": "sig",
        }  # fmt: skip
        """As it is published (RFC 7517)."""

    def __repr__(self) -> str:
        return f"<TokenKey {self.id}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a TokenKey cannot be stored")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        self.__reduce__()

    @classmethod
    def new(cls) -> TokenKey:
        """A new key, of the system's source for secrets."""
        return cls(OKPKey.generate_key("Ed25519"))

    @classmethod
    def open(cls, envelope: Envelope, id: str, sealed: bytes) -> TokenKey:
        """The one that `seal` gave; raises `VaultError` where it is not."""
        key = cls(OKPKey.import_key(json.loads(envelope.open_bytes(_PRIVATE, sealed))))
        if key.id != id:
            raise VaultError(f"{envelope.customer}: another key is sealed there")
        return key

    def seal(self, envelope: Envelope) -> bytes:
        """For storing."""
        return envelope.seal_bytes(_PRIVATE, json.dumps(self.__key.as_dict(private=True)).encode())

    def sign(self, claims: Mapping[str, object], *, kind: str) -> str:
        """A JWT (RFC 7519) of this `typ`."""
        header = {"alg": ALGORITHM, "kid": self.id, "typ": kind}
        return jwt.encode(header, dict(claims), self.__key, registry=_REGISTRY, default_type=None)


@dataclass(frozen=True, slots=True)
class Token:
    """What was signed: of which `typ`, what it says, and by which key. Whether that still holds is another matter."""

    kind: str
    claims: Mapping[str, Any]
    key: str


class Verifier:
    """What public keys tell: whether one of them has signed a token."""

    def __init__(self, public: Iterable[Mapping[str, str]], *, longest: int = _LONGEST) -> None:
        """`public`: as `TokenKey.public` has them; `longest`: characters beyond which nothing is read."""
        self._longest = longest
        self._keys = {key["kid"]: OKPKey.import_key(dict(key)) for key in public}

    def read(self, token: str) -> Token | None:
        """What is signed; None for anything that is not, whatever it says of itself."""
        if len(token) > self._longest or not token.isascii():
            return None
        try:
            found = jwt.decode(token, self._key_of, registry=_REGISTRY)
        except (JoseError, ValueError, TypeError, RecursionError):
            return None
        kind = found.header["typ"]
        return Token(kind, found.claims, found.header["kid"]) if isinstance(kind, str) else None

    def _key_of(self, named: GuestProtocol) -> OKPKey:
        kid = named.headers()["kid"]
        if not isinstance(kid, str) or kid not in self._keys:
            raise JoseError("no such key")
        return self._keys[kid]


def public_key(said: object) -> Mapping[str, str] | None:
    """A key that somebody else has published, as `TokenKey.public` has ours; None for what is none of this kind.

    What else stands there is left out, and its name is worked out here: two keys never have one name.
    """
    match said:
        case {"kty": "OKP", "crv": "Ed25519", "x": str(point)} if _POINT.fullmatch(point):
            try:
                return TokenKey(OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": point})).public
            except (JoseError, ValueError):
                return None
        case _:
            return None


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in values.items() if isinstance(value, str)}
