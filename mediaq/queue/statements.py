"""Procrastinate's queries as asyncpg takes them, and asyncpg's errors in its words."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg
from procrastinate import exceptions, manager

from mediaq import db

# Procrastinate marks parameters as %(name)s.
_PARAMETER = re.compile(r"%\((\w+)\)s")
# The server infers text for a number that is concatenated to a unit, and the driver insists.
_CONCATENATED = re.compile(r"%\((\w+)\)s \|\|")
_LOCK = re.compile(r"Key \(queueing_lock\)=\((.*)\) already exists", re.DOTALL)

DRIVER_ERRORS = (asyncpg.PostgresError, *db.CONNECTION_ERRORS)
"""What a statement may raise, the loss of the connection included."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A query with numbered parameters, and the names of the arguments that go into them."""

    sql: str
    names: tuple[str, ...]
    texts: frozenset[str]

    def values(self, arguments: Mapping[str, Any]) -> list[Any]:
        """Put the arguments in order."""
        return [
            str(arguments[name]) if name in self.texts else arguments[name] for name in self.names
        ]


@functools.cache
def statement(query: str) -> Statement:
    """Translate a query of Procrastinate's, once: its text is then prepared once per connection."""
    names = tuple(dict.fromkeys(_PARAMETER.findall(query)))
    sql = _PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", query)
    return Statement(sql.replace("%%", "%"), names, frozenset(_CONCATENATED.findall(query)))


async def run(
    connection: db.Connection, query: str, arguments: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Run a query of Procrastinate's on a connection and return its rows."""
    asked = statement(query)
    rows = await connection.fetch(asked.sql, *asked.values(arguments))
    return [dict(row) for row in rows]


def translated(error: Exception) -> exceptions.ConnectorException:
    """Say in Procrastinate's words what the driver said; it asks which constraint, which lock."""
    if not isinstance(error, asyncpg.UniqueViolationError):
        return exceptions.ConnectorException(str(error) or repr(error))
    lock = None
    if error.constraint_name == manager.QUEUEING_LOCK_CONSTRAINT and error.detail:
        found = _LOCK.search(error.detail)
        lock = found and found[1]
    return exceptions.UniqueViolation(constraint_name=error.constraint_name, queueing_lock=lock)
