"""Keys that sign tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "token_keys",
        sa.Column("id", sa.String(43), primary_key=True),
        sa.Column("key_id", sa.String(8), nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("private", sa.LargeBinary, nullable=False),
        sa.Column("public", sa.String(400), nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("signs_from", sa.BigInteger, nullable=False),
    )
