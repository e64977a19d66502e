"""PostgreSQL keeps samples of what stands in a table, for its planner: of what may have to be forgotten it keeps none."""

from alembic import op

revision = "0010"
down_revision = "0009"

# All are looked for by an index that has each value once, or a few times: the planner needs no samples.
_UNCOUNTED = {
    "customers": {
        "ref": "VARCHAR(16)", "number_index": "VARCHAR(64)", "wrapped": "BYTEA", "number": "BYTEA", "name": "BYTEA", "pin": "BYTEA",
    },
    "phones": {"customer": "VARCHAR(16)", "phone_index": "VARCHAR(64)", "phone": "BYTEA"},
}  # fmt: skip


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, columns in _UNCOUNTED.items():
        for column, kept in columns.items():
            # the same type: nothing is written anew, and the samples that there are go
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {kept}")
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0")
