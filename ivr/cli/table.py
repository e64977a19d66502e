"""A CSV file of customers, read line by line; every fault names the line, and none shows what stands there."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ivr.errors import InputError

COLUMNS = ("number", "name", "phones", "pin", "language", "policy")

_CURE = "Save it as CSV in UTF-8, with commas between the columns"
# Far more than a customer's row; a file without line ends is not read whole.
_LONGEST_LINE = 1 << 16


@dataclass(frozen=True, slots=True)
class Line:
    """A row as it stands in the file, by column; `line` counts from 1, as editors do."""

    line: int
    values: dict[str, str]
    problem: str | None = None

    def __repr__(self) -> str:
        return f"<Line {self.line}>"


def lines(file: Path, *, progress: Callable[[int], None]) -> Iterator[Line]:
    """Every row but the first. `progress` is told how many bytes were read.

    Raises `InputError` for a file that is no such table. A row of the wrong width comes with a `problem` and no values.
    """
    try:
        with file.open("rb") as opened:
            yield from _rows(file, opened, progress)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}). Nothing was imported") from None


def _rows(file: Path, opened: BinaryIO, progress: Callable[[int], None]) -> Iterator[Line]:
    reader = csv.reader(_text(file, opened, progress), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            raise InputError(f"{file}: is empty. Its first line is: {','.join(COLUMNS)}")
        if not any(header):
            raise InputError(f"{file}: line 1: is empty. It is: {','.join(COLUMNS)}")
        columns = _columns(file, header)
        begins = reader.line_num + 1
        for row in reader:
            # a row with a line break in quotes is called by its first line
            line, begins = begins, reader.line_num + 1
            if not any(row):
                continue
            if len(row) != len(columns):
                yield Line(line, {}, f"has {len(row)} columns, the first line has {len(columns)}")
            else:
                yield Line(line, dict(zip(columns, row, strict=True)))
    except csv.Error:
        raise InputError(
            f"{file}: line {reader.line_num}: its quotes or line ends are not those of CSV. {_CURE}"
        ) from None


def _columns(file: Path, header: list[str]) -> list[str]:
    """The header's names; their order is free."""
    columns = [name.strip().lower() for name in header]
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise InputError(f"{file}: line 1: lacks the column {missing[0]}. It is: {','.join(COLUMNS)}")
    # Its place and not its name: what stands there may be a customer, in a file that lacks its first line.
    for place, name in enumerate(columns, 1):
        if name not in COLUMNS or name in columns[: place - 1]:
            problem = "is there twice" if name in COLUMNS else "is unknown"
            raise InputError(f"{file}: line 1: column {place} {problem}. It is: {','.join(COLUMNS)}")
    return columns


def _text(file: Path, opened: BinaryIO, progress: Callable[[int], None]) -> Iterator[str]:
    number = read = 0
    while raw := opened.readline(_LONGEST_LINE):
        number += 1
        read += len(raw)
        progress(read)
        if number == 1:
            if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise InputError(f"{file}: is UTF-16. {_CURE}")
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        if b"\0" in raw:
            raise InputError(f"{file}: line {number}: has a NUL byte, so this is no text. {_CURE}")
        if len(raw) == _LONGEST_LINE:
            raise InputError(f"{file}: line {number}: is longer than {_LONGEST_LINE} bytes. {_CURE}")
        try:
            yield raw.decode()
        except UnicodeDecodeError:
            raise InputError(f"{file}: line {number}: is not UTF-8. {_CURE}") from None
