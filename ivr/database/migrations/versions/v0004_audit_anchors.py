"""The audit trail: old rows may be deleted, behind a signed anchor."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_REFUSED = "BEGIN SELECT RAISE(ABORT, 'the audit trail only grows'); END"
_BEGIN = "(SELECT seq FROM audit_anchors WHERE chain = {}.chain)"


def upgrade() -> None:
    op.create_table(
        "audit_anchors",
        sa.Column("chain", sa.String(40), primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("row_signature", sa.String(100), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("signature", sa.String(100), nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        _protect_on_postgresql()
    else:
        _protect_on_sqlite()


def _protect_on_sqlite() -> None:
    op.execute("DROP TRIGGER audit_no_delete")
    op.execute("DROP TRIGGER audit_in_order")
    op.execute(
        f"CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit WHEN OLD.seq > coalesce({_BEGIN.format('OLD')}, 0) {_REFUSED}"
    )
    begins = f"SELECT coalesce(max(seq), {_BEGIN.format('NEW')}, 0) + 1 FROM audit"  # noqa: S608  # nothing comes from outside
    op.execute(
        f"CREATE TRIGGER audit_in_order BEFORE INSERT ON audit WHEN NEW.seq IS NOT "
        f"({begins} WHERE chain = NEW.chain) {_REFUSED}"
    )
    op.execute(f"CREATE TRIGGER audit_anchors_stay BEFORE DELETE ON audit_anchors {_REFUSED}")
    op.execute(
        "CREATE TRIGGER audit_anchors_go_on BEFORE UPDATE ON audit_anchors "
        f"WHEN NEW.seq < OLD.seq OR NEW.chain <> OLD.chain {_REFUSED}"
    )


def _protect_on_postgresql() -> None:
    op.execute("DROP TRIGGER audit_only_grows ON audit")
    op.execute(
        "CREATE TRIGGER audit_only_grows BEFORE UPDATE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows()"
    )
    op.execute(
        "CREATE FUNCTION audit_only_old() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF OLD.seq > coalesce({_BEGIN.format('OLD')}, 0) THEN RAISE EXCEPTION 'the audit trail only grows'; END IF; "
        "RETURN OLD; END $$"
    )
    op.execute("CREATE TRIGGER audit_only_old BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_only_old()")
    op.execute(
        "CREATE TRIGGER audit_anchors_stay BEFORE DELETE OR TRUNCATE ON audit_anchors "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows()"
    )
    op.execute(
        "CREATE TRIGGER audit_anchors_go_on BEFORE UPDATE ON audit_anchors FOR EACH ROW "
        "WHEN (NEW.seq < OLD.seq OR NEW.chain <> OLD.chain) EXECUTE FUNCTION audit_only_grows()"
    )
