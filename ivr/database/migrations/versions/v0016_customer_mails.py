"""Customers' mail addresses."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "customer_mails",
        sa.Column("customer", sa.String(16), sa.ForeignKey("customers.ref", ondelete="CASCADE"), primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        # as of the other tables of customers: no samples of what may have to be forgotten
        for column in ("customer", "sealed"):
            op.execute(f"ALTER TABLE customer_mails ALTER COLUMN {column} SET STATISTICS 0")
