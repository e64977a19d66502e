"""Whom to tell that a telephone number was changed."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "customer_notices",
        sa.Column("id", sa.String(22), primary_key=True),
        sa.Column(
            "customer", sa.String(16), sa.ForeignKey("customers.ref", ondelete="CASCADE"), nullable=False, index=True
        ),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("due", sa.BigInteger, nullable=False, index=True),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        # as of the other tables of customers: no samples of what may have to be forgotten
        for column in ("id", "customer", "sealed"):
            op.execute(f"ALTER TABLE customer_notices ALTER COLUMN {column} SET STATISTICS 0")
