"""A sealed file: JSON lines, compressed, encrypted with age for whoever may read it, and signed with the audit key.

Everybody who has the public key can encrypt for it; the signature on the last line says that this installation did, and
that no line is missing.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import orjson
import pyrage  # type: ignore[import-untyped]  # the library has no types

from ivr.audit.signing import Seal, Verifier
from ivr.errors import ConfigError, InputError
from ivr.secret import Secret

_FORMAT = "tillit-backup-1"
# Level 6 is twice as slow and saves a tenth.
_LEVEL = 3
_LONGEST_LINE = 1 << 22

_PLACE = "[backup] recipients"


class Writer:
    """Takes the lines of a file in their order."""

    def __init__(self, stream: gzip.GzipFile, kind: str, at: str, schema: str) -> None:
        self._stream = stream
        self._kind = kind
        self._at = at
        self._digest = hashlib.sha256()
        self._count = 0
        self.put({"format": _FORMAT, "kind": kind, "at": at, "schema": schema})

    def put(self, line: dict[str, Any]) -> None:
        """One line."""
        text = orjson.dumps(line) + b"\n"
        self._digest.update(text)
        self._stream.write(text)
        self._count += 1

    def end(self, seal: Seal) -> None:
        """The last line, which says that all are there."""
        said = (_FORMAT, self._kind, self._at, self._count, self._digest.hexdigest())
        self._stream.write(orjson.dumps({"lines": self._count, "signature": seal.sign(*said)}) + b"\n")


@contextmanager
def writing(
    file: Path, recipients: Sequence[str], kind: str, *, at: str, schema: str, seal: Seal, replace: bool
) -> Iterator[Writer]:
    """A file of mode 0600 that is there whole when the block is left, or not at all.

    Raises `ConfigError` where a recipient is none, `InputError` where the file cannot be written, or is there and shall not be
    replaced.
    """
    if not recipients:
        raise ConfigError(_PLACE, "names nobody who may read back-ups", "Type: ari_app.py keys backup FILE")
    try:
        keys = [pyrage.x25519.Recipient.from_str(text) for text in recipients]
    except pyrage.RecipientError:
        raise ConfigError(_PLACE, "holds what is no public key", "Write what `keys backup` printed") from None
    beside = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        opened = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(opened, "wb") as out:
                with (
                    _through(lambda plain: pyrage.encrypt_io(plain, out, keys)) as plain,
                    gzip.open(plain, "wb", compresslevel=_LEVEL) as stream,
                ):
                    writer = Writer(stream, kind, at, schema)
                    yield writer
                    writer.end(seal)
                out.flush()
                os.fsync(out.fileno())
            if replace:
                os.replace(beside, file)
            else:
                os.link(beside, file)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({error.strerror})") from None


@contextmanager
def _through(work: Callable[[IO[bytes]], object]) -> Iterator[IO[bytes]]:
    """What is written to the stream is read by the work, in a thread of its own; its failure is raised here."""
    ours, theirs = os.pipe()
    failed: list[BaseException] = []

    def run() -> None:
        with os.fdopen(ours, "rb") as stream:
            try:
                work(stream)
            except BaseException as error:  # noqa: BLE001  # a panic of the library's own code is no Exception either; it is raised below
                failed.append(error)

    thread = threading.Thread(target=run, name="backup")
    thread.start()
    try:
        with suppress(BrokenPipeError), os.fdopen(theirs, "wb") as stream:
            yield stream
    finally:
        thread.join()
    for error in failed:
        raise OSError(0, type(error).__name__) from None


class Reader:
    """The lines of a sealed file, first to last; whether they are good is known at the end."""

    def __init__(self, file: Path, lines: Iterator[bytes], kind: str, keys: Verifier) -> None:
        self._file = file
        self._lines = lines
        self._keys = keys
        self._digest = hashlib.sha256()
        self._count = 0
        head = self._next()
        if head.get("format") != _FORMAT or head.get("kind") != kind:
            raise self._wrong("is no such file of `backup`")
        self._kind = kind
        self.at = str(head["at"])
        self.schema = str(head["schema"])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Raises `InputError` where the file is cut, changed, or not of this installation."""
        while True:
            said = (_FORMAT, self._kind, self.at, self._count, self._digest.hexdigest())
            line = self._next()
            if "signature" not in line:
                yield line
                continue
            if not self._keys.good(line["signature"], *said):
                raise self._wrong("is not signed by this installation's audit key")
            if next(self._lines, None) is not None:
                raise self._wrong("goes on behind its end")
            return

    def _next(self) -> dict[str, Any]:
        text = next(self._lines, None)
        if text is None:
            raise self._wrong("is cut off")
        self._digest.update(text)
        self._count += 1
        try:
            line = orjson.loads(text)
        except orjson.JSONDecodeError:
            line = None
        if not isinstance(line, dict):
            raise self._wrong("was changed")
        return line

    def _wrong(self, what: str) -> InputError:
        return InputError(f"{self._file}: {what}. Nothing was restored")


@contextmanager
def reading(file: Path, identity: Secret, kind: str, keys: Verifier) -> Iterator[Reader]:
    """The file's lines. Raises `InputError` where it cannot be read, or not with this identity."""
    try:
        opened = pyrage.x25519.Identity.from_str(identity.reveal())
    except pyrage.IdentityError:
        raise InputError("--identity: holds no key of `keys backup`. Nothing was restored") from None
    try:
        with (
            file.open("rb") as source,
            _out_of(lambda sink: pyrage.decrypt_io(source, sink, [opened])) as plain,
            gzip.open(plain) as stream,
        ):
            yield Reader(file, _lines(stream), kind, keys)
    except pyrage.DecryptError:
        raise InputError(f"{file}: cannot be read with this key, or was changed. Nothing was restored") from None
    except (OSError, EOFError) as error:
        why = getattr(error, "strerror", None) or "it was changed, or cut off"
        raise InputError(f"{file}: cannot be read ({why}). Nothing was restored") from None


def _lines(stream: gzip.GzipFile) -> Iterator[bytes]:
    while line := stream.readline(_LONGEST_LINE):
        yield line


@contextmanager
def _out_of(work: Callable[[IO[bytes]], object]) -> Iterator[IO[bytes]]:
    """What the work writes, which it does in a thread of its own; its failure is raised here, before any other."""
    theirs, ours = os.pipe()
    failed: list[BaseException] = []

    def run() -> None:
        with suppress(BrokenPipeError), os.fdopen(ours, "wb") as stream:
            try:
                work(stream)
            except BaseException as error:  # noqa: BLE001  # as above
                failed.append(error)

    thread = threading.Thread(target=run, name="restore")
    thread.start()
    stream = os.fdopen(theirs, "rb")
    try:
        yield stream
    except (OSError, EOFError, InputError):
        stream.close()
        thread.join()
        for error in failed:
            if isinstance(error, pyrage.DecryptError):
                raise error from None
        raise
    finally:
        stream.close()
        thread.join()
    for error in failed:
        raise error


def new_identity() -> tuple[Secret, str]:
    """What reads back-ups, and is a secret; and the public key that they are written for."""
    made = pyrage.x25519.Identity.generate()
    return Secret(str(made)), str(made.to_public())
