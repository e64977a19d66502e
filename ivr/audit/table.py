"""The tables of the trail. Triggers of the migrations refuse to change rows, and to delete any but those before an anchor."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, MetaData, String, Table, Text

METADATA = MetaData()

AUDIT = Table(
    "audit",
    METADATA,
    Column("chain", String(40), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", String(27), nullable=False, index=True),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("call", Text, nullable=False, index=True),
    Column("subject", Text, nullable=False, index=True),
    Column("detail", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("once", Text, nullable=True),
    Column("signature", String(100), nullable=True),
    Index("audit_once", "once", unique=True),
    sqlite_with_rowid=False,
)
"""Everything that is hashed is stored as the very text that is hashed: a database that wrote times or JSON in its own
way would break the chain. `once` is hashed where it is set; rows of before it was there have none, and verify as ever."""

HEADS = Table(
    "audit_heads",
    METADATA,
    Column("chain", String(40), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("at", String(27), nullable=False),
    Column("seen", Text, nullable=False),
    Column("signature", String(100), nullable=False),
)
"""How far each chain had come when its writer last signed it, and how far the others had (`seen`, JSON)."""

ANCHORS = Table(
    "audit_anchors",
    METADATA,
    Column("chain", String(40), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("row_signature", String(100), nullable=False),
    Column("at", String(27), nullable=False),
    Column("signature", String(100), nullable=False),
)
"""Behind which row a chain begins, where those up to it were deleted for their age."""
