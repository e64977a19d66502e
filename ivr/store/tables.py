"""The tables of customers. What a person could be recognised by is encrypted, or a blind index."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Integer, LargeBinary, MetaData, String, Table

METADATA = MetaData()

KEYS = Table(
    "keys",
    METADATA,
    Column("kind", String(16), primary_key=True),
    Column("id", String(8), primary_key=True),
    Column("checks", String(32), nullable=False),
)
"""Which keys are needed to work with the data: `vault.Key.id` and `vault.Key.check`. Of master keys there may be several.

Of kind `backup`: what the newest file of data keys needs (`store.datakeys`)."""

CUSTOMERS = Table(
    "customers",
    METADATA,
    Column("ref", String(16), primary_key=True),
    Column("number_index", String(64), nullable=False, unique=True),
    Column("key_id", String(8), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("number", LargeBinary, nullable=False),
    Column("name", LargeBinary, nullable=False),
    Column("pin", LargeBinary),
    Column("language", String(2)),
    Column("policy", String(40)),
    Column("locked", Boolean, nullable=False),
)
"""`key_id` and `wrapped` are the envelope; `number`, `name` and `pin` are sealed in it."""

PHONES = Table(
    "phones",
    METADATA,
    Column("customer", String(16), ForeignKey("customers.ref", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("phone_index", String(64), nullable=False, index=True),
    Column("phone", LargeBinary, nullable=False),
)
"""Position 0 is the one that texts go to. Two customers may share a number."""
