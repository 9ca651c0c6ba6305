"""How a request comes in: inserted, found again by its key, or refused in the database's words."""

from __future__ import annotations

from uuid import UUID, uuid4

import asyncpg
from pydantic import JsonValue

from mediaq import db
from mediaq.errors import Rejected
from mediaq.model import Accepted, NewRequest


async def insert(
    connection: db.Executor, new: NewRequest, request_id: UUID | None = None
) -> Accepted:
    """Insert a request, which queues it; :class:`Rejected` in the database's own words.

    Where the same was asked before under the same key, that request is the answer.
    """
    own = request_id or uuid4()
    # In the order of the query's columns, the key last.
    *values, key = new.model_dump().values()
    query, more = ("insert_request", []) if key is None else ("insert_request_once", [key])
    try:
        row = await connection.fetchrow(db.queries()[query], own, *values, *more)
    except asyncpg.DataError as error:
        # Without the lines that PostgreSQL adds: the sentence is the trigger's.
        raise Rejected(str(error.args[0])) from None
    if row is None:
        msg = "this idempotency key was used for another request; take a new key for a new request"
        raise Rejected(msg)
    return Accepted(**dict(row), replayed=row["request_id"] != own)


async def refused_part(
    connection: db.Executor, options: JsonValue, refusal: Rejected
) -> tuple[str, ...]:
    """Find what was refused: ``("options", "grid")``; empty when it was not the options."""
    query = db.queries()["refused_option"]
    row = await connection.fetchrow(query, options, refusal.message)
    if row is None:
        return ()
    return ("options",) if row["option"] is None else ("options", row["option"])
