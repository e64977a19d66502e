"""Several master keys at a time, as long as they are rotated."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    # SQLite cannot give a table another primary key
    op.rename_table("keys", "keys_before")
    op.create_table(
        "keys",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("id", sa.String(8), nullable=False),
        sa.Column("checks", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("kind", "id", name="keys_by_id"),
    )
    op.execute("INSERT INTO keys SELECT kind, id, checks FROM keys_before")
    op.drop_table("keys_before")
