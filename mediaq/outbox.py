"""The ends of requests that are to be delivered, and what came of each delivery."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from mediaq import db
from mediaq.model import DeliveryOutcome, MediaType, Status, Value


class End(Value):
    """What a receiver is told of a request that has ended.

    ``attempt`` counts the runs of the request. ``processing_time_ms`` is that of the last run;
    None when it never ran, or was asked again since.
    """

    request_id: UUID
    event_id: str
    status: Status
    media_type: MediaType
    media_url: str | None
    media_path: str | None
    error_message: str | None
    attempt: int
    processing_time_ms: int | None
    created_at: datetime | None
    created_by: str | None
    user_metadata: Any


class Message(Value):
    """A webhook's body, in the form that the Standard Webhooks specification recommends."""

    type: Literal["request.completed", "request.failed", "request.cancelled"]
    timestamp: datetime
    data: End


class Due(Value):
    """A delivery that is due: where it goes and what it says."""

    event_id: int
    webhook_id: str
    url: str
    message: Message


class Outcome(Value):
    """What came of one attempt; ``delay`` is in seconds and there is one when it is retried."""

    outcome: DeliveryOutcome
    status_code: int | None = None
    error: str | None = None
    response: str | None = None
    delay: float | None = None


async def due(connection: db.Executor, event_id: int, attempt: int) -> Due | None:
    """Read what an attempt delivers; None when there is nothing to do any more."""
    row = await connection.fetchrow(db.queries()["due_delivery"], event_id, attempt)
    if row is None:
        return None
    end = End(
        request_id=row["request_id"],
        event_id=str(event_id),
        status=row["event"],
        media_type=row["media_type"],
        media_url=row["media_url"],
        media_path=row["media_path"],
        error_message=row["error"],
        attempt=row["attempt"],
        processing_time_ms=row["processing_time_ms"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        user_metadata=row["user_metadata"],
    )
    return Due(
        event_id=event_id,
        webhook_id=f"msg_{end.request_id.hex}_{event_id}",
        url=row["callback_url"],
        message=Message(type=f"request.{end.status}", timestamp=row["at"], data=end),
    )


async def record(
    connection: db.Executor, of: Due, attempt: int, shown_url: str, took_ms: int, came: Outcome
) -> None:
    """Record an attempt and queue the next one, if there is to be one, in one transaction.

    Nothing happens when the request is gone or the attempt was recorded before.
    """
    await connection.execute(
        db.queries()["record_delivery"],
        of.message.data.request_id,
        of.event_id,
        attempt,
        of.message.data.status,
        of.webhook_id,
        shown_url,
        took_ms,
        came.outcome,
        came.status_code,
        came.error,
        came.response,
        came.delay,
    )
