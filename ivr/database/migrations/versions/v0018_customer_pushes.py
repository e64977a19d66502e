"""Browsers in which customers are shown who calls."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "customer_pushes",
        sa.Column("id", sa.String(22), primary_key=True),
        sa.Column(
            "customer", sa.String(16), sa.ForeignKey("customers.ref", ondelete="CASCADE"), nullable=False, index=True
        ),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        # as of the other tables of customers: no samples of what may have to be forgotten
        for column in ("customer", "sealed"):
            op.execute(f"ALTER TABLE customer_pushes ALTER COLUMN {column} SET STATISTICS 0")
