"""What is told to others, and how far the trail was read for it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "webhook_cursors",
        sa.Column("chain", sa.String(40), primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "webhook_marks",
        sa.Column("node", sa.String(80), primary_key=True),
        sa.Column("channel", sa.String(150), primary_key=True),
        sa.Column("event", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(16), nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
    )
    op.create_table(
        "webhook_messages",
        sa.Column("place", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("receiver", sa.String(40), nullable=False),
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("call", sa.String(240), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("due", sa.BigInteger, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("dead", sa.Boolean, nullable=False),
        sa.UniqueConstraint("receiver", "id", name="webhook_messages_by_id"),
    )
    op.create_index("webhook_messages_by_call", "webhook_messages", ["receiver", "call", "place"])
