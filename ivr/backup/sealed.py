"""A sealed file: JSON lines, compressed, encrypted with age for whoever may read it, and signed with the audit key.

Everybody who has the public key can encrypt for it; the signature on the last line says that this installation did, and
that no line is missing.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import orjson
import pyrage  # type: ignore[import-untyped]  # the library has no types

from ivr.audit.signing import Seal, Verifier
from ivr.backup.beside import Beside
from ivr.errors import ConfigError, InputError
from ivr.secret import Secret

_FORMAT = "tillit-backup-1"
# Level 6 is twice as slow and saves a tenth.
_LEVEL = 3
_LONGEST_LINE = 1 << 22

_PLACE = "[backup] recipients"


class Writer:
    """Takes the lines of a file in their order; then `finish`, and `place`."""

    def __init__(
        self, beside: Beside, streams: ExitStack, stream: gzip.GzipFile, kind: str, at: str, schema: str, seal: Seal
    ) -> None:
        self._beside = beside
        self._streams = streams
        self._stream = stream
        self._kind = kind
        self._at = at
        self._seal = seal
        self._digest = hashlib.sha256()
        self._count = 0
        self.put({"format": _FORMAT, "kind": kind, "at": at, "schema": schema})

    def put(self, line: dict[str, Any]) -> None:
        """One line."""
        text = orjson.dumps(line) + b"\n"
        self._digest.update(text)
        self._stream.write(text)
        self._count += 1

    def finish(self) -> None:
        """The last line, which says that all are there; then all of it is on the disk. Raises `OSError`."""
        said = (_FORMAT, self._kind, self._at, self._count, self._digest.hexdigest())
        self._stream.write(orjson.dumps({"lines": self._count, "signature": self._seal.sign(*said)}) + b"\n")
        self._streams.close()
        self._beside.sync()

    def place(self, *, replace: bool) -> None:
        """Give it its name, durably. Raises `OSError`, where another file has it and shall not be replaced as well."""
        self._beside.place(replace=replace)


@contextmanager
def writing(file: Path, recipients: Sequence[str], kind: str, *, at: str, schema: str, seal: Seal) -> Iterator[Writer]:
    """A file of mode 0600, which is there from `Writer.place` on, whole; if the block is left before, it never is.

    Raises `ConfigError` where a recipient is none, `InputError` where the file cannot be written.
    """
    if not recipients:
        raise ConfigError(_PLACE, "names nobody who may read back-ups", "Type: ari_app.py keys backup FILE")
    try:
        keys = [pyrage.x25519.Recipient.from_str(text) for text in recipients]
    except pyrage.RecipientError:
        raise ConfigError(_PLACE, "holds what is no public key", "Write what `keys backup` printed") from None
    try:
        with Beside(file) as beside, ExitStack() as streams:
            plain = streams.enter_context(_through(lambda plain: pyrage.encrypt_io(plain, beside.stream, keys)))
            stream = streams.enter_context(gzip.open(plain, "wb", compresslevel=_LEVEL))
            yield Writer(beside, streams, stream, kind, at, schema, seal)
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
        match head:
            case {"format": format, "kind": of, "at": str(at), "schema": str(schema)} if (format, of) == (
                _FORMAT,
                kind,
            ):
                self._kind, self.at, self.schema = kind, at, schema
            case _:
                raise self._wrong("is no such file of `backup`")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Raises `InputError` where the file is cut, changed, or not of this installation."""
        while True:
            said = (_FORMAT, self._kind, self.at, self._count, self._digest.hexdigest())
            line = self._next()
            if "signature" not in line:
                yield line
                continue
            signature = line["signature"]
            if not isinstance(signature, str) or not self._keys.good(signature, *said):
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
    """The file's lines, which were all looked at before: none of them is of anybody but this installation.

    Raises `InputError` where it cannot be read, not with this identity, or is not good.
    """
    try:
        opened = pyrage.x25519.Identity.from_str(identity.reveal())
    except pyrage.IdentityError:
        raise InputError("--identity: holds no key of `keys backup`. Nothing was restored") from None
    with _reading(file, opened, kind, keys) as reader:
        for _ in reader:
            pass
    # read anew, and looked at once more: whoever changes it meanwhile is found at the end
    with _reading(file, opened, kind, keys) as reader:
        yield reader


@contextmanager
def _reading(file: Path, identity: Any, kind: str, keys: Verifier) -> Iterator[Reader]:
    try:
        with (
            _regular(file) as source,
            _out_of(lambda sink: pyrage.decrypt_io(source, sink, [identity])) as plain,
            gzip.open(plain) as stream,
        ):
            yield Reader(file, _lines(stream), kind, keys)
    except pyrage.DecryptError:
        raise InputError(f"{file}: cannot be read with this key, or was changed. Nothing was restored") from None
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or "it was changed, or cut off"
        raise InputError(f"{file}: cannot be read ({why}). Nothing was restored") from None


def _regular(file: Path) -> IO[bytes]:
    # a pipe could be read but once, and nobody need write to it
    opened = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError(0, "it is no file")
    return os.fdopen(opened, "rb")


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
    except (OSError, EOFError, zlib.error, InputError):
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
