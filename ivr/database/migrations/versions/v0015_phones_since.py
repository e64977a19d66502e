"""Since when a telephone number is the customer's."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("phones", sa.Column("since", sa.BigInteger, nullable=False, server_default="0"))
