"""What customers are called at providers of electronic identities, and what those have said."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "customer_identities",
        sa.Column("customer", sa.String(16), sa.ForeignKey("customers.ref", ondelete="CASCADE"), primary_key=True),
        sa.Column("kind", sa.String(40), primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "customer_evidence",
        sa.Column("id", sa.String(22), primary_key=True),
        sa.Column(
            "customer", sa.String(16), sa.ForeignKey("customers.ref", ondelete="CASCADE"), nullable=False, index=True
        ),
        sa.Column("provider", sa.String(40), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False, index=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        # as of the other tables of customers: no samples of what may have to be forgotten
        for table, columns in (
            ("customer_identities", ("customer", "kind", "sealed")),
            ("customer_evidence", ("id", "customer", "sealed")),
        ):
            for column in columns:
                op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0")
