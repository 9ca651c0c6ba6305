"""What clients ask of requests that exist: to cancel, to retry or to delete, one or many."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import asyncpg

from mediaq import db
from mediaq.errors import Rejected
from mediaq.model import MediaType, Status, Value

Change = Literal["cancel", "retry", "delete"]

ONE: dict[Change, str] = {"cancel": "cancel_one", "retry": "retry_one", "delete": "delete_one"}
MANY: dict[Change, str] = {
    "cancel": "cancel_many",
    "retry": "retry_many",
    "delete": "delete_many",
}

BULK_SECONDS = 3600
"""Longest statement that changes many requests."""


class Unknown(Rejected):
    """No request has this id."""


class Filter(Value):
    """Which requests are meant, as far as their status allows the change; nothing given: all.

    ``older_than`` is a length of time as PostgreSQL reads it, such as ``30 days`` or ``12h``.
    """

    status: Status | None = None
    media_type: MediaType | None = None
    created_by: str | None = None
    older_than: str | None = None


async def one(connection: db.Executor, change: Change, request_id: UUID) -> None:
    """Change one request; :class:`Rejected` in the database's words, :class:`Unknown` if none."""
    try:
        done = await connection.fetchval(db.queries()[ONE[change]], request_id)
    except asyncpg.DataError as error:
        raise Rejected(str(error.args[0])) from None
    if done is None:
        if await connection.fetchval(db.queries()["request_status"], request_id) is None:
            msg = f"no request has the id {request_id}"
            raise Unknown(msg)
        msg = "a running request cannot be asked again; cancel it first"
        raise Rejected(msg)


async def many(connection: db.Executor, change: Change, which: Filter) -> int:
    """Change all requests that a filter finds, in one statement, and count them."""
    try:
        tag = await connection.execute(
            db.queries()[MANY[change]], *which.model_dump().values(), timeout=BULK_SECONDS
        )
    except asyncpg.DataError as error:
        raise Rejected(str(error.args[0])) from None
    return int(tag.split()[-1])
