"""Of a call that two workers have run, one row: whoever wrote it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import orjson
from sqlalchemy import Connection, select

from ivr.audit.chain import Written
from ivr.audit.table import AUDIT


def not_yet_written(connection: Connection, rows: Sequence[Written]) -> list[Written]:
    """The rows without those whose round the trail has told the same of already.

    That a caller was lost is no news of a round that has any row. Rows of no round are all kept.
    """
    columns = AUDIT.c
    calls = {row.call for row in rows if _round(row.detail)}
    if not calls:
        return list(rows)
    told: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for call, outcome, detail in connection.execute(
        select(columns.call, columns.outcome, columns.detail).where(columns.call.in_(calls))
    ):
        told[call, _round(detail)].add(outcome)
    kept = []
    for row in rows:
        known = told[row.call, round_] if (round_ := _round(row.detail)) else set()
        if row.outcome in known or (row.outcome == "abandoned" and known):
            continue
        kept.append(row)
    return kept


def _round(detail: str) -> str:
    # most rows of commands have none, and need not be read
    return str(orjson.loads(detail).get("round", "")) if '"round"' in detail else ""
