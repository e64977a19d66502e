"""Other organisations, by the keys of their domains, and which of their letters were taken."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "peers",
        sa.Column("domain", sa.String(253), primary_key=True),
        sa.Column("key", sa.String(43), nullable=False),
        sa.Column("public", sa.String(400), nullable=False),
        sa.Column("first_seen", sa.BigInteger, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("agreed", sa.Boolean, nullable=False),
    )
    op.create_table(
        "letters",
        sa.Column("domain", sa.String(253), primary_key=True),
        sa.Column("id", sa.String(80), primary_key=True),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_letters_until", "letters", ["until"])
