"""What is asked of the database, and written to it, at every request."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import Boolean, Connection, Select, Table, insert
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import OperationalError

# values by names, as this driver has it
_DIALECT = sqlite.dialect(paramstyle="named")


class Prepared:
    """A query, put together once: SQLAlchemy takes ten times as long to hand it over as SQLite to answer it."""

    def __init__(self, query: Select[Any]) -> None:
        """With bound parameters by name, none of them a list; its columns have no other types than text, bytes, numbers, and truth."""
        self._query = query

    def rows(self, connection: Connection, **values: object) -> Sequence[Sequence[Any]]:
        """What it finds, in the order of its columns."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._query, values).all()
        text, given = self._compiled
        cursor = connection.connection.cursor()
        try:
            cursor.execute(text, {**given, **values})
            found = cursor.fetchall()
        except sqlite3.Error as error:
            raise told(text, error) from None
        finally:
            cursor.close()
        return [tuple(map(_read, self._truths, row)) for row in found] if any(self._truths) else found

    @cached_property
    def _compiled(self) -> tuple[str, dict[str, object]]:
        """The text, and what stands in the query itself, such as a limit."""
        compiled = self._query.compile(dialect=_DIALECT)
        return compiled.string, {name: value for name, value in compiled.params.items() if value is not None}

    @cached_property
    def _truths(self) -> tuple[bool, ...]:
        return tuple(isinstance(column.type, Boolean) for column in self._query.selected_columns)


class PreparedRows:
    """Whole rows of a table, by a statement that is put together once."""

    def __init__(self, table: Table) -> None:
        """Its columns have no other types than text, bytes and numbers."""
        self._statement = insert(table)

    def put(self, connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
        """Write them. Each has all columns."""
        if connection.dialect.name != "sqlite":
            connection.execute(self._statement, rows)
            return
        cursor = connection.connection.cursor()
        try:
            cursor.executemany(self._text, rows)
        except sqlite3.Error as error:
            raise told(self._text, error) from None
        finally:
            cursor.close()

    @cached_property
    def _text(self) -> str:
        return self._statement.compile(dialect=_DIALECT).string


def told(text: str, error: sqlite3.Error) -> OperationalError:
    """As SQLAlchemy has it, without what was asked for."""
    return OperationalError(text, None, error)


def _read(truth: bool, value: Any) -> Any:
    return bool(value) if truth and value is not None else value
