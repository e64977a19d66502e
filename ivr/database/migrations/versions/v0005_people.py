"""Those who sign in: their phones, what they may do, how they sign in."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "people",
        sa.Column("tenant", sa.String(40), primary_key=True),
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("login", sa.String(64), nullable=False),
        sa.Column("team", sa.String(40), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("key_id", sa.String(8), nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("name", sa.LargeBinary, nullable=False),
        sa.Column("language", sa.String(2)),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("signed_in_at", sa.String(27)),
        sa.Column("signed_in_from", sa.String(60)),
        sa.UniqueConstraint("id", name="people_by_id"),
        sa.UniqueConstraint("tenant", "login", name="people_by_login"),
    )
    op.create_index("people_by_team", "people", ["tenant", "team"])
    op.create_table(
        "people_endpoints",
        sa.Column("key", sa.String(80), primary_key=True),
        sa.Column("endpoint", sa.String(80), nullable=False),
        *_of_person(primary_key=False),
    )
    op.create_index("people_endpoints_by_person", "people_endpoints", ["tenant", "person"])
    op.create_table(
        "people_permissions",
        *_of_person(),
        sa.Column("permission", sa.String(20), primary_key=True),
        sa.Column("granted", sa.Boolean, nullable=False),
    )
    op.create_table(
        "credentials",
        *_of_person(),
        sa.Column("method", sa.String(20), primary_key=True),
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("counter", sa.BigInteger, nullable=False),
        sa.Column("since", sa.String(27), nullable=False),
    )
    op.create_table(
        "links",
        *_of_person(),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
        sa.Column("until", sa.BigInteger, nullable=False),
    )


def _of_person(*, primary_key: bool = True) -> tuple[sa.schema.SchemaItem, ...]:
    return (
        sa.Column("tenant", sa.String(40), primary_key=primary_key, nullable=False),
        sa.Column("person", sa.String(16), primary_key=primary_key, nullable=False),
        sa.ForeignKeyConstraint(["tenant", "person"], ["people.tenant", "people.id"], ondelete="CASCADE"),
    )
