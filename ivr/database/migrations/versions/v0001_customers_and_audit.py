"""Customers with their telephone numbers, the keys they were made with, and the audit trail."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _keys()
    _customers()
    _audit()
    if op.get_bind().dialect.name == "postgresql":
        _protect_on_postgresql()
    else:
        _protect_on_sqlite()


def _keys() -> None:
    op.create_table(
        "keys",
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("id", sa.String(8), nullable=False),
        sa.Column("checks", sa.String(32), nullable=False),
    )


def _customers() -> None:
    op.create_table(
        "customers",
        sa.Column("ref", sa.String(16), primary_key=True),
        sa.Column("number_index", sa.String(64), nullable=False, unique=True),
        sa.Column("key_id", sa.String(8), nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("number", sa.LargeBinary, nullable=False),
        sa.Column("name", sa.LargeBinary, nullable=False),
        sa.Column("pin", sa.LargeBinary),
        sa.Column("language", sa.String(2)),
        sa.Column("policy", sa.String(40)),
        sa.Column("locked", sa.Boolean, nullable=False),
    )
    op.create_table(
        "phones",
        sa.Column("customer", sa.String(16), sa.ForeignKey("customers.ref", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("phone_index", sa.String(64), nullable=False, index=True),
        sa.Column("phone", sa.LargeBinary, nullable=False),
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("chain", sa.String(40), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(27), nullable=False, index=True),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("call", sa.Text, nullable=False, index=True),
        sa.Column("subject", sa.Text, nullable=False, index=True),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        # Without a rowid there is no second key by which INSERT OR REPLACE could take a row away.
        sqlite_with_rowid=False,
    )


def _protect_on_sqlite() -> None:
    for event in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_no_{event.lower()} BEFORE {event} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit trail only grows'); END"
        )
    # INSERT OR REPLACE takes rows away without any DELETE trigger, so a row may only come next in its chain.
    op.execute(
        "CREATE TRIGGER audit_in_order BEFORE INSERT ON audit "
        "WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit WHERE chain = NEW.chain) "
        "BEGIN SELECT RAISE(ABORT, 'the audit trail only grows'); END"
    )


def _protect_on_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit trail only grows'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows()"
    )
