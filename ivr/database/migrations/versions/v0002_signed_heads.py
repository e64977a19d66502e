"""The audit trail: signatures, signed heads, and rows that are written once."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("audit", sa.Column("once", sa.Text, nullable=True))
    op.add_column("audit", sa.Column("signature", sa.String(100), nullable=True))
    op.create_index("audit_once", "audit", ["once"], unique=True)
    op.create_table(
        "audit_heads",
        sa.Column("chain", sa.String(40), primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("seen", sa.Text, nullable=False),
        sa.Column("signature", sa.String(100), nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER audit_heads_stay BEFORE DELETE OR TRUNCATE ON audit_heads "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows()"
        )
        return
    # INSERT OR REPLACE of a row with another's `once` would take that one away without any DELETE trigger.
    op.execute(
        "CREATE TRIGGER audit_once_only BEFORE INSERT ON audit "
        "WHEN NEW.once IS NOT NULL AND EXISTS (SELECT 1 FROM audit WHERE once = NEW.once) "
        "BEGIN SELECT RAISE(ABORT, 'the audit trail only grows'); END"
    )
    op.execute(
        "CREATE TRIGGER audit_heads_stay BEFORE DELETE ON audit_heads "
        "BEGIN SELECT RAISE(ABORT, 'the audit trail only grows'); END"
    )
