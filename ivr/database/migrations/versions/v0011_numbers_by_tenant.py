"""A customer number is one customer's of each tenant, and no longer one customer's over all of them."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_UNIQUE = sa.UniqueConstraint("number_index", "tenant", name="customers_by_number")


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("customers_number_index_key", "customers", type_="unique")
        op.create_unique_constraint("customers_by_number", "customers", ["number_index", "tenant"])
        return
    # SQLite drops no constraint of a table: both are made anew. The telephone numbers first come to refer to the old
    # table, for with that one they would go
    op.rename_table("customers", "customers_before")
    op.create_table(
        "customers",
        sa.Column("ref", sa.String(16), primary_key=True),
        sa.Column("number_index", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(8), nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("number", sa.LargeBinary, nullable=False),
        sa.Column("name", sa.LargeBinary, nullable=False),
        sa.Column("pin", sa.LargeBinary),
        sa.Column("language", sa.String(2)),
        sa.Column("policy", sa.String(40)),
        sa.Column("locked", sa.Boolean, nullable=False),
        sa.Column("tenant", sa.String(40), nullable=False, server_default="main"),
        _UNIQUE,
    )
    columns = "ref, number_index, key_id, wrapped, number, name, pin, language, policy, locked, tenant"
    op.execute(f"INSERT INTO customers ({columns}) SELECT {columns} FROM customers_before")  # noqa: S608  # nothing comes from outside
    op.create_table(
        "phones_anew",
        sa.Column("customer", sa.String(16), sa.ForeignKey("customers.ref", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("phone_index", sa.String(64), nullable=False),
        sa.Column("phone", sa.LargeBinary, nullable=False),
    )
    columns = "customer, position, phone_index, phone"
    op.execute(f"INSERT INTO phones_anew ({columns}) SELECT {columns} FROM phones")  # noqa: S608  # nothing comes from outside
    op.drop_table("phones")
    op.drop_table("customers_before")
    op.rename_table("phones_anew", "phones")
    op.create_index("ix_phones_phone_index", "phones", ["phone_index"])
