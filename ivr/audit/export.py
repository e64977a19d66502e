"""The trail as JSON lines, with all that proves it: it is verified without the database and without any secret.

The first line has the public keys and the signed heads, each further one a row, and the last one the number of rows and
the end of each chain, signed by the audit key: a file that was cut, or put together of two, is found out by it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import orjson

from ivr.audit.anchors import Anchor
from ivr.audit.chain import stamp, utc_now
from ivr.audit.check import Check, Report
from ivr.audit.heads import Head
from ivr.audit.signing import Seal, Verifier
from ivr.audit.verify import anchors_in, heads_in, in_order
from ivr.database import Database
from ivr.errors import InputError, StoreError

_FORMAT = "tillit-audit-export-1"


async def export(database: Database, seal: Seal) -> AsyncIterator[bytes]:
    """The lines of it, without line ends. Raises `StoreError`."""
    at = stamp(utc_now())
    begins = await anchors_in(database)
    heads = await heads_in(database)
    yield orjson.dumps(
        {
            "format": _FORMAT, "at": at, "keys": seal.verifier.publics,
            "anchors": [anchor.json() for anchor in begins], "heads": [head.json() for head in heads],
        }
    )  # fmt: skip
    ends: dict[str, list[Any]] = {}
    count = 0
    async for row in in_order(database):
        ends[row["chain"]] = [row["seq"], row["hash"]]
        count += 1
        # a value of a type that only a changed row has is told of as text, and so as changed
        yield orjson.dumps({"row": {str(column): value for column, value in row.items()}}, default=str)
    if begins != await anchors_in(database):
        raise StoreError("audit: old rows were deleted while they were written out. Type it again")
    said = orjson.dumps(ends, option=orjson.OPT_SORT_KEYS).decode()
    late = [head.json() for head in await heads_in(database)]
    yield orjson.dumps({"rows": count, "ends": said, "heads": late, "signature": seal.sign(_FORMAT, at, count, said)})


def verify_export(lines: Iterable[bytes], keys: Verifier | None, kept: Iterable[Head] = ()) -> tuple[Report, Verifier]:
    """What comes of it, and the public keys that it was looked at with: the file's own, where none are given.

    Raises `InputError`, with the line, where the file is not what `export` writes, or not whole.
    """
    numbered = enumerate(_objects(lines), start=1)
    _, first = next(numbered, (1, {}))
    if first.get("format") != _FORMAT:
        raise InputError("line 1: is no export of the audit trail")
    try:
        keys = Verifier(first["keys"]) if keys is None else keys
        check = Check(keys)
        check.anchors(Anchor.read(anchor) for anchor in first.get("anchors", ()))
        check.heads(Head.read(head) for head in first["heads"])
        check.heads(kept, kept=True)
        count, last = 0, None
        for number, line in numbered:
            if last is not None:
                raise InputError(f"line {number}: stands behind the end of the export")
            if "row" in line:
                check.row(line["row"])
                count += 1
            else:
                last = line
        if last is None:
            raise InputError(f"line {count + 1}: the export is cut off behind it")
        if not keys.good(last["signature"], _FORMAT, first["at"], last["rows"], last["ends"]):
            raise InputError(f"line {count + 2}: the end of the export is not signed by the audit key")
        check.late_heads(Head.read(head) for head in last["heads"])
        for chain, (seq, digest) in orjson.loads(last["ends"]).items():
            check.want(chain, seq, digest, f"the export signed at {first['at']}")
        report = check.report()
        if not report.faults and last["rows"] != count:
            raise InputError(f"line {count + 2}: the export had {last['rows']} rows when it was signed, not {count}")
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError("it is no export of the audit trail, or was changed") from None
    return report, keys


def kept_heads(lines: Iterable[bytes]) -> list[Head]:
    """The heads of a file that `audit heads` or `audit export` wrote. Raises `InputError`."""
    heads: list[Head] = []
    try:
        for line in _objects(lines):
            if "row" in line:
                break
            heads += [Head.read(head) for head in line.get("heads", [line])]
    except (AttributeError, TypeError, ValueError):
        raise InputError("holds no heads: give a file that `audit heads` or `audit export` wrote") from None
    return heads


def _objects(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            value = None
        if not isinstance(value, dict):
            raise InputError(f"line {number}: is no line of an export")
        yield value
