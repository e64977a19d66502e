"""Anchors: behind which row a chain begins, where older ones were deleted because they had been kept long enough.

An anchor is signed with the audit key, and holds hash and signature of the last row that was deleted: the row behind it
follows that one as ever. Who deletes rows without the key cannot make one, and the chain is found to be cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from ivr.audit.signing import Seal
from ivr.audit.table import ANCHORS, AUDIT

_FIELDS = ("chain", "seq", "hash", "row_signature", "at", "signature")


@dataclass(frozen=True, slots=True)
class Anchor:
    """A signed anchor: the last row that was deleted, and when."""

    chain: str
    seq: int
    hash: str
    row_signature: str
    at: str
    signature: str

    @classmethod
    def read(cls, row: Mapping[str, object] | RowMapping) -> Self:
        """As it is stored; raises `ValueError` where it is none."""
        match [row.get(field) for field in _FIELDS]:
            case [str(chain), int(seq), str(digest), str(row_signature), str(at), str(signature)]:
                return cls(chain, seq, digest, row_signature, at, signature)
            case _:
                pass
        raise ValueError("no anchor")

    @property
    def said(self) -> tuple[object, ...]:
        """What is signed."""
        return ("tillit-audit-anchor-1", self.chain, self.seq, self.hash, self.row_signature, self.at)

    def json(self) -> dict[str, object]:
        """As it is stored."""
        return {field: getattr(self, field) for field in _FIELDS}


def all_of(connection: Connection) -> list[Anchor]:
    """The anchor of every chain that has one, by name. Raises `ValueError` where one is none."""
    rows = connection.execute(select(ANCHORS).order_by(ANCHORS.c.chain)).mappings()
    return [Anchor.read(row) for row in rows]


def of(connection: Connection, chain: str) -> Anchor | None:
    """The chain's anchor. Raises `ValueError` where it is none."""
    row = connection.execute(select(ANCHORS).where(ANCHORS.c.chain == chain)).mappings().one_or_none()
    return None if row is None else Anchor.read(row)


def cut(connection: Connection, anchor: Anchor, seal: Seal) -> None:
    """Sign the anchor, and delete the rows up to it. The transaction must hold the chain's lock."""
    values = {**anchor.json(), "signature": seal.sign(*anchor.said)}
    if connection.execute(update(ANCHORS).where(ANCHORS.c.chain == anchor.chain).values(values)).rowcount == 0:
        connection.execute(insert(ANCHORS).values(values))
    connection.execute(delete(AUDIT).where(AUDIT.c.chain == anchor.chain, AUDIT.c.seq <= anchor.seq))
