"""Queries that are asked at every request."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import Boolean, Connection, Select
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import OperationalError


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
            # by names, as this driver has it
            cursor.execute(text, {**given, **values})
            found = cursor.fetchall()
        except sqlite3.Error as error:
            # as SQLAlchemy has it, without what was asked for
            raise OperationalError(text, None, error) from None
        finally:
            cursor.close()
        return [tuple(map(_read, self._truths, row)) for row in found] if any(self._truths) else found

    @cached_property
    def _compiled(self) -> tuple[str, dict[str, object]]:
        """The text, and what stands in the query itself, such as a limit."""
        compiled = self._query.compile(dialect=sqlite.dialect(paramstyle="named"))
        return compiled.string, {name: value for name, value in compiled.params.items() if value is not None}

    @cached_property
    def _truths(self) -> tuple[bool, ...]:
        return tuple(isinstance(column.type, Boolean) for column in self._query.selected_columns)


def _read(truth: bool, value: Any) -> Any:
    return bool(value) if truth and value is not None else value
