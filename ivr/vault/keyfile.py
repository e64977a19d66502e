"""Writing key files: made whole or not at all, mode 0600, and durable before anything is encrypted with them."""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ivr.config import Settings
from ivr.vault.keys import LENGTH, Key, Kind, Place, load_masters, missing, place_of

# What a command does while it holds the file takes milliseconds, but for the database, which another may hold.
_PATIENCE = 10.0
_AGAIN = 0.05


def create(settings: Settings) -> list[Path]:
    """Make the key files that are missing, and say which; what is there is never touched. Raises `ConfigError`."""
    wanted = missing(settings)
    for kind in Kind:
        place = place_of(kind, settings)
        if place.file in wanted:
            _write(place, place.file, _line(kind), new=True)
    return wanted


@contextmanager
def held(settings: Settings) -> Iterator[None]:
    """No other command on this machine changes the file of the master keys until the block is left.

    Whoever changes it holds it from its first look at the keys on: else it would write back what it read, without the key
    that another has added meanwhile. Taken before the database, never behind it. Raises `ConfigError` where another command
    keeps it for more than ten seconds.
    """
    place = place_of(Kind.MASTER, settings)
    if place.file is None:
        yield
        return
    opened = _lock(place, place.file)
    try:
        yield
    finally:
        os.close(opened)


def _lock(place: Place, file: Path) -> int:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # who had it before has put a new file in its place
                if os.path.samestat(os.fstat(opened), file.stat()):
                    return opened
            except BaseException:
                os.close(opened)
                raise
            os.close(opened)
        except BlockingIOError:
            if time.monotonic() > until:
                raise place.error(
                    f"another command is changing {file}", "Wait until it has ended, and type this again"
                ) from None
            time.sleep(_AGAIN)
        except OSError as error:
            raise place.error(f"{file} cannot be read ({error.strerror})", "Bring it back from your back-up") from None


def add_master(settings: Settings) -> Key:
    """Put a new master key behind the others in their file: from now on the newest. The file must be `held`.

    Raises `ConfigError`.
    """
    place, file = _master_file(settings, "put one more line into it")
    _change(place, file, lambda lines: [*lines, _line(Kind.MASTER)])
    return load_masters(settings)[-1]


def remove_master(settings: Settings, key_id: str) -> None:
    """Take a master key out of its file, for ever. The file must be `held`. Raises `ConfigError`."""
    place, file = _master_file(settings, f"take the line of {key_id} out of it")
    _change(place, file, lambda lines: [line for line in lines if line.split(":")[1] != key_id])


def _master_file(settings: Settings, what: str) -> tuple[Place, Path]:
    place = place_of(Kind.MASTER, settings)
    if place.file is None:
        raise place.error(
            f"the master key stands in the variable {place.variable}, which only you can change",
            f"Where you set it, {what}, and start the workers anew",
        )
    return place, place.file


def _line(kind: Kind) -> str:
    return f"tillit-{kind}-v1:{secrets.token_hex(4)}:{base64.b64encode(secrets.token_bytes(LENGTH)).decode()}\n"


def _change(place: Place, file: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Write the file anew with other lines; its owner stays, whoever types the command."""
    try:
        status = file.stat()
        lines = file.read_text(encoding="ascii").splitlines(keepends=True)
    except OSError as error:
        raise place.error(f"{file} cannot be read ({error.strerror})", "Bring it back from your back-up") from None
    text = "".join(change([line if line.endswith("\n") else f"{line}\n" for line in lines]))
    _write(place, file, text, new=False, owner=(status.st_uid, status.st_gid))


def _write(place: Place, file: Path, text: str, *, new: bool, owner: tuple[int, int] | None = None) -> None:
    # A half-written key would be refused for ever: written whole beside it, then given its name. link() never takes that
    # away from another file, which is what a new one must not do.
    beside = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(opened, "w", encoding="ascii") as stream:
                stream.write(text)
                stream.flush()
                if owner is not None and owner != (os.geteuid(), os.getegid()):
                    os.fchown(stream.fileno(), *owner)
                os.fsync(stream.fileno())
            if new:
                os.link(beside, file)
            else:
                os.replace(beside, file)
        finally:
            beside.unlink(missing_ok=True)
        sync_folder(file.parent)
    except OSError as error:
        raise place.error(f"{file} cannot be made ({error.strerror})", "See to the rights of its folder") from None


def sync_folder(folder: Path) -> None:
    """Make a new name in it durable: data that is encrypted with a lost key is lost. Raises `OSError`."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
