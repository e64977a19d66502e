"""The key that signs what this organisation proves: one file, which its administrator copies to every desk.

Who has taken up a key once is led to each that follows by the one before it, which has signed it (`succession`), however
long ago that was. The one before is destroyed then: nobody who finds it later signs anything.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from ivr.config import Settings, secret_of
from ivr.errors import ConfigError
from ivr.vault.tokens import TokenKey, Verifier, public_key

SUCCESSION = "tillit-succession+jwt"
"""The `typ` of a statement by which a key names the next."""

# Until every desk has the new file, and every letter that the former key has signed was read.
_OVERLAP = 24 * 3600
# Keys that are led on from; at one each year, whoever has not looked for longer is told of a change.
_STEPS = 8
_CURE = "Bring it back from your back-up. Or delete it and type: ari_app.py peer key; then others are told that our key is another"


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """The one that signs, what became of those before it (`until`: seconds since the epoch), and who has named whom."""

    key: TokenKey
    former: tuple[tuple[Mapping[str, str], int], ...] = ()
    succession: tuple[str, ...] = ()

    @classmethod
    def open(cls, settings: Settings) -> OwnKeys:
        """Raises `ConfigError` where the file is missing, can be read by others, or holds no key."""
        place = f"{settings.file}: [peers] key_file"
        if not settings.path(settings.peers.key_file).exists():
            raise ConfigError(
                place, f"{settings.path(settings.peers.key_file)} is missing", "Type: ari_app.py peer key"
            )
        text = secret_of(settings, "[peers] key", settings.peers.key_file, None)
        assert text is not None
        try:
            return cls._read(json.loads(text.reveal()))
        except (JoseError, ValueError, TypeError, KeyError):
            raise ConfigError(place, "holds no key of `peer key`", _CURE) from None

    @classmethod
    def _read(cls, said: Any) -> OwnKeys:
        former = tuple((dict(one["public"]), int(one["until"])) for one in said["former"])
        key = OKPKey.import_key(said["private"])
        if not key.is_private or key.curve_name != "Ed25519":
            raise ValueError("another key")
        return cls(TokenKey(key), former, tuple(map(str, said["succession"])))

    def published(self, now: float) -> list[dict[str, Any]]:
        """Every key whose letters are good, the one that signs first; `until` where it has an end."""
        ending = [{**public, "until": until} for public, until in self.former if until > now]
        return [dict(self.key.public), *ending]


def create(settings: Settings) -> str:
    """Make the file where there is none; the key's identifier. Raises `ConfigError`."""
    made = OKPKey.generate_key("Ed25519")
    _write(settings, made, (), (), new=True)
    return TokenKey(made).id


def turn(settings: Settings, now: float) -> str:
    """A new key, which the one before has signed, and which signs from now on; its identifier. Raises `ConfigError`."""
    before = OwnKeys.open(settings)
    made = OKPKey.generate_key("Ed25519")
    public = TokenKey(made).public
    named = before.key.sign({"iss": settings.peers.domain, "iat": int(now), "next": dict(public)}, kind=SUCCESSION)
    former = (*(one for one in before.former if one[1] > now), (before.key.public, int(now) + _OVERLAP))
    _write(settings, made, former, (*before.succession, named)[-_STEPS:], new=False)
    return public["kid"]


def led_to(public: Mapping[str, str], succession: Sequence[str], domain: str) -> str:
    """The identifier of the key that this one leads to, over those in between; its own where it leads nowhere."""
    for statement in succession[-_STEPS:]:
        found = Verifier([public]).read(statement)
        if found is None or found.kind != SUCCESSION or found.claims.get("iss") != domain:
            continue
        if (following := public_key(found.claims.get("next"))) is not None:
            public = following
    return public["kid"]


def _write(
    settings: Settings, key: OKPKey, former: Sequence[tuple[Mapping[str, str], int]], succession: Sequence[str], *, new: bool
) -> None:  # fmt: skip
    """Whole or not at all, mode 0600; the owner stays."""
    file = settings.path(settings.peers.key_file)
    said = {
        "private": key.as_dict(private=True),
        "former": [{"public": dict(public), "until": until} for public, until in former],
        "succession": list(succession),
    }
    beside = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        with open(beside, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as stream:
            if not new:
                status = file.stat()
                os.fchown(stream.fileno(), status.st_uid, status.st_gid)
            stream.write(json.dumps(said).encode())
            stream.flush()
            os.fsync(stream.fileno())
        _put(beside, file, new=new)
    except FileExistsError:
        raise ConfigError(
            f"{settings.file}: [peers] key_file",
            f"{file} is there already",
            "Leave it, or take another key's place with --next",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{settings.file}: [peers] key_file",
            f"{file} cannot be written ({error.strerror})",
            "See to the rights of its folder",
        ) from None
    finally:
        beside.unlink(missing_ok=True)


def _put(beside: Path, file: Path, *, new: bool) -> None:
    if new:
        # link() never takes the name away from another file
        os.link(beside, file)
    else:
        beside.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
