"""What a webhook's receiver is told next is found without looking at all that waits."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_WAIT = sa.text(
    "UPDATE webhook_messages SET due = :behind WHERE dead OR EXISTS (SELECT 1 FROM webhook_messages AS earlier "
    "WHERE earlier.receiver = webhook_messages.receiver AND earlier.call = webhook_messages.call "
    "AND earlier.place < webhook_messages.place AND NOT earlier.dead)"
)


def upgrade() -> None:
    # as ivr.hooks.messages has it: behind another message of the same call, or given up
    op.get_bind().execute(_WAIT, {"behind": 2**62})
    op.create_index("webhook_messages_by_due", "webhook_messages", ["receiver", "due", "place"])
