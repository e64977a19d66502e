"""The keys: the master key, which encrypts, the hash key, for indexes, PINs and codes, and the audit key, which signs.

They are kept apart, so that whoever comes by one of them has not also got another. Each is one line of text:

    tillit-master-v1:ID:BASE64      tillit-hash-v1:ID:BASE64      tillit-audit-v1:ID:BASE64

with 32 random bytes in BASE64, and an ID of eight hexadecimal digits that may be shown. Of master keys there may be several,
a line for each: the last one is the newest, and encrypts; those before it open what they have encrypted.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF

from ivr.config import Settings
from ivr.errors import ConfigError
from ivr.secret import Secret

LENGTH = 32
"""Bytes of a key: AES-256, HMAC-SHA-256 and Ed25519 take no more."""

_LINE = re.compile(r"tillit-(?P<kind>master|hash|audit)-v1:(?P<id>[0-9a-f]{8}):(?P<base64>[A-Za-z0-9+/]{43}=)")
# Some fifty keys; whatever is longer is no key file, and is not read into memory.
_MOST_BYTES = 4096


class Kind(StrEnum):
    """Which of the keys."""

    MASTER = "master"
    HASH = "hash"
    AUDIT = "audit"


class Key:
    """Random bytes that cannot be shown or stored by accident; only what is derived from them is ever used."""

    __slots__ = ("__material", "id")

    def __init__(self, id: str, material: bytes) -> None:
        if len(material) != LENGTH:
            raise ValueError(f"a key has {LENGTH} bytes")
        self.id = id
        self.__material = material

    def __repr__(self) -> str:
        return f"<Key {self.id}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Key cannot be stored")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        self.__reduce__()

    def derive(self, label: str) -> bytes:
        """A key of 32 bytes for one use (HKDF, RFC 5869): those of two labels tell nothing of each other."""
        return HKDF(self.__material, LENGTH, None, SHA256, context=f"tillit/{label}".encode())

    @property
    def check(self) -> str:
        """32 hexadecimal digits that may be stored: whether a database was made with this very key."""
        return self.derive("check")[:16].hex()

    def same_as(self, other: Key) -> bool:
        """Whether both are the same random bytes, whatever they are called."""
        return hmac.compare_digest(self.__material, other.__material)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of customers' data, known to be different.

    `master` is the newest one; `former` are those before it, oldest first, which still open what they have encrypted.
    """

    master: Key
    hash: Key
    former: tuple[Key, ...] = ()

    @property
    def masters(self) -> tuple[Key, ...]:
        """Every master key, oldest first."""
        return (*self.former, self.master)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the settings say that a key is: a file, or an environment variable."""

    kind: Kind
    name: str
    file: Path | None
    variable: str | None

    def error(self, problem: str, cure: str) -> ConfigError:
        return ConfigError(self.name, problem, cure)


def place_of(kind: Kind, settings: Settings) -> Place:
    """The place of one key: the environment variable before the file. Raises `ConfigError` where neither is named."""
    file, variable = {
        Kind.MASTER: (settings.keys.master_file, settings.keys.master_env),
        Kind.HASH: (settings.keys.hash_file, settings.keys.hash_env),
        Kind.AUDIT: (settings.keys.audit_file, settings.keys.audit_env),
    }[kind]
    if variable is not None:
        return Place(kind, f"{settings.file}: [keys] {kind}_env", None, variable)
    name = f"{settings.file}: [keys] {kind}_file"
    if file is None:
        raise ConfigError(
            name, "names no file, and no environment variable is named", "Leave it out, or name one of them"
        )
    return Place(kind, name, settings.path(file), None)


def load(settings: Settings, *, owner: int | None = None) -> Keys:
    """Master and hash key; raises `ConfigError` where one is missing, malformed, badly kept, or both are equal or swapped.

    `owner`: the user number whose files they are, where that is not the user who asks (nor root).
    """
    *former, master = load_masters(settings, owner=owner)
    place = place_of(Kind.HASH, settings)
    hash_key = _one(place, _parse(place, _text(place, owner)))
    if any(hash_key.same_as(key) for key in (*former, master)):
        raise place.error(
            "is the same key as the master key", "Bring back the file that `init` made, from your back-up"
        )
    return Keys(master, hash_key, tuple(former))


def load_masters(settings: Settings, *, owner: int | None = None) -> tuple[Key, ...]:
    """Every master key, oldest first; raises `ConfigError` as `load` does."""
    place = place_of(Kind.MASTER, settings)
    return _parse(place, _text(place, owner))


def load_audit(settings: Settings, *, owner: int | None = None) -> Key:
    """The audit key; raises `ConfigError` as `load` does."""
    place = place_of(Kind.AUDIT, settings)
    return _one(place, _parse(place, _text(place, owner)))


def missing(settings: Settings) -> list[Path]:
    """The key files that are named and are not there."""
    files = (place_of(kind, settings).file for kind in Kind)
    return [file for file in files if file is not None and not os.path.lexists(file)]


def _text(place: Place, owner: int | None) -> Secret:
    if place.variable is not None:
        if not os.environ.get(place.variable):
            raise place.error("that variable is not set", f"Set {place.variable} in the environment")
        return Secret(os.environ[place.variable].strip())
    assert place.file is not None
    return _file_text(place, place.file, owner)


def _file_text(place: Place, file: Path, owner: int | None) -> Secret:
    try:
        # O_NONBLOCK: a pipe in its place must not hold the start up
        opened = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise place.error(
            f"{file} is missing", "Type: ari_app.py init. If there are customers, bring it back from your back-up"
        ) from None
    except OSError as error:
        raise place.error(
            f"{file} cannot be read ({error.strerror})", f"Let the user who runs this own it: chown {_user()} {file}"
        ) from None
    with os.fdopen(opened, "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise place.error(f"{file} is no file", "Name the file that `init` made")
        if status.st_uid not in (os.geteuid(), 0, owner):
            raise place.error(f"{file} belongs to another user", f"Type: chown {_user()} {file}")
        if status.st_mode & 0o077:
            raise place.error(f"{file} can be read by others", f"Type: chmod 600 {file}")
        try:
            return Secret(stream.read(_MOST_BYTES).decode("ascii").strip())
        except UnicodeDecodeError:
            raise _malformed(place) from None
        except OSError as error:
            raise place.error(f"{file} cannot be read ({error.strerror})", "Bring it back from your back-up") from None


def _parse(place: Place, text: Secret) -> tuple[Key, ...]:
    """One key or several, a line for each."""
    found = list(map(_LINE.fullmatch, text.reveal().split()))
    keys: list[Key] = []
    for line in found:
        if line is None:
            raise _malformed(place)
        if line["kind"] != place.kind:
            raise place.error(
                f"holds the {line['kind']} key, not the {place.kind} key", "The two are swapped: swap them back"
            )
        try:
            key = Key(line["id"], base64.b64decode(line["base64"], validate=True))
        except (binascii.Error, ValueError):
            raise _malformed(place) from None
        if any(key.id == other.id or key.same_as(other) for other in keys):
            raise place.error(f"holds the key {key.id} twice", "Take one of the two lines out")
        keys.append(key)
    if not keys:
        raise _malformed(place)
    return tuple(keys)


def _one(place: Place, keys: tuple[Key, ...]) -> Key:
    if len(keys) > 1:
        raise place.error(
            f"holds {len(keys)} keys, and of its kind there is but one", "Keep the line that was there first"
        )
    return keys[0]


def _malformed(place: Place) -> ConfigError:
    return place.error(
        f"holds no {place.kind} key: a key is one line, tillit-{place.kind}-v1:ID:BASE64, of {LENGTH} bytes",
        "Bring it back from your back-up; for a new system remove it and type: ari_app.py init",
    )


def _user() -> str:
    """The number of the user who runs this: names may come from a server that is not there."""
    return str(os.geteuid())
