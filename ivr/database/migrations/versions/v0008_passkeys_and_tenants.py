"""Several ways of one kind to sign in, each one person's, and when each was used last; whose customers they are."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_SEVERAL = sa.text("id <> ''")


def upgrade() -> None:
    op.add_column("credentials", sa.Column("used", sa.String(27)))
    op.create_index(
        "credentials_by_id", "credentials", ["method", "id"],
        unique=True, sqlite_where=_SEVERAL, postgresql_where=_SEVERAL,
    )  # fmt: skip
    op.add_column("customers", sa.Column("tenant", sa.String(40), nullable=False, server_default="main"))
