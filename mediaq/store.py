"""One typed function per query on requests and what was made of them.

The connection comes first; the caller owns the transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from pydantic import ValidationError

from mediaq import db
from mediaq.model import Made, MediaType, Options, Request, ResultType, Status
from mediaq.views import QueueDepth


class Superseded(Exception):
    """The attempt is over: the request was cancelled, deleted or claimed anew meanwhile."""


async def claim(
    connection: db.Executor, request_id: UUID, *, worker_id: int, worker: str
) -> Request | None:
    """Begin an attempt; None when the request is not due: gone, running, ended or for later.

    Options were checked on insert. Where they cannot be read all the same (a row of another
    version), the request fails here: whoever asked is told, and no worker meets it again.
    """
    row = await connection.fetchrow(db.queries()["claim"], request_id, worker_id, worker)
    return None if row is None else await claimed(connection, row)


async def claimed(connection: db.Executor, row: asyncpg.Record) -> Request | None:
    """Read the row of a claim; None when it failed here."""
    # A null stands for the default.
    given = {key: value for key, value in row["options"].items() if value is not None}
    try:
        options = Options.model_validate(given)
    except ValidationError as error:
        message = f"the options cannot be read: {error.errors()[0]['msg']}"
        details = {"class": "Rejected", "step": "claim", "attempt": row["attempt"]}
        await connection.execute(
            db.queries()["fail"], row["request_id"], row["attempt"], message, details
        )
        return None
    return Request.model_validate(dict(row) | {"options": options})


async def done_steps(connection: db.Executor, request_id: UUID) -> frozenset[str]:
    """Name the steps that are recorded and need not run again."""
    return frozenset(
        row["step"] for row in await connection.fetch(db.queries()["done_steps"], request_id)
    )


async def done_results(
    connection: db.Executor, request_id: UUID
) -> tuple[dict[ResultType, Any], dict[ResultType, str]]:
    """Read the typed content of internal results that earlier attempts recorded, and the texts."""
    rows = await connection.fetch(db.queries()["done_results"], request_id)
    results = {row["result_type"]: row["content_json"] for row in rows}
    return results, {row["result_type"]: row["content"] for row in rows}


async def record_step(
    connection: db.Connection,
    request: Request,
    step: str,
    made: Made,
    duration_ms: int,
    found: MediaType | None = None,
) -> None:
    """Write all that a step made, with its step row; call it inside one transaction.

    ``found`` is what the media of a request that came as ``auto`` turned out to be.
    Raises :class:`Superseded` when the attempt is over; then nothing was written.
    """
    queries, request_id = db.queries(), request.request_id
    held = await connection.fetchval(queries["hold_attempt"], request_id, request.attempt)
    if held is None:
        raise Superseded
    if found is not None:
        await connection.execute(queries["set_media_type"], request_id, request.attempt, found)
    ids = {file.name: uuid4() for file in made.files}
    files = [
        (
            ids[file.name],
            file.file_type,
            file.stored.file_path,
            file.name,
            file.stored.size_bytes,
            file.mime_type,
            file.width,
            file.height,
            file.duration_seconds,
            file.frame_number,
            file.sequence_order,
            file.stored.sha256,
            file.stored.location,
            file.stored.remote_url,
            file.metadata,
        )
        for file in made.files
    ]
    if files:
        await connection.execute(
            queries["insert_files"], request_id, *map(list, zip(*files, strict=True))
        )
    for sheet in made.sheets:
        await connection.execute(
            queries["insert_sheet"],
            request_id,
            ids[sheet.file],
            sheet.grid_cols,
            sheet.grid_rows,
            sheet.frame_count,
            sheet.frames_per_sheet,
            sheet.sheet_number,
            sheet.total_sheets,
            sheet.frame_interval_seconds,
            sheet.image_width,
            sheet.image_height,
            sheet.thumbnail_width,
            sheet.thumbnail_height,
            sheet.metadata,
        )
    for result in made.results:
        await connection.execute(
            queries["insert_result"],
            request_id,
            result.result_type,
            result.provider,
            result.model_name,
            result.content,
            result.content_json,
            result.confidence_score,
            duration_ms,
            result.metadata,
        )
    skip = (made.skipped.code, made.skipped.why) if made.skipped else (None, None)
    values = (request_id, step, request.attempt, duration_ms, *skip)
    await connection.execute(queries["insert_step"], *values)


async def tell_progress(
    connection: db.Executor, told: Sequence[tuple[Request, Mapping[str, Any]]]
) -> None:
    """Write a progress event for each of these attempts that still runs."""
    await connection.execute(
        db.queries()["insert_progress"],
        [request.request_id for request, _ in told],
        [request.attempt for request, _ in told],
        [dict(data) for _, data in told],
    )


async def complete(connection: db.Executor, request: Request) -> bool:
    """Record the verdict completed; False when the attempt was already over."""
    return await _end(connection, "complete", request)


async def fail(
    connection: db.Executor, request: Request, message: str, details: Mapping[str, Any]
) -> bool:
    """Record the verdict failed; False when the attempt was already over."""
    return await _end(connection, "fail", request, message, dict(details))


async def retry(
    connection: db.Executor,
    request: Request,
    message: str,
    details: Mapping[str, Any],
    delay: float,
) -> bool:
    """Put the request back for ``delay`` seconds; False when the attempt was already over."""
    return await _end(connection, "retry", request, message, dict(details), delay)


async def give_back(connection: db.Executor, request: Request) -> bool:
    """Put the request back at once, without counting the attempt as failed."""
    return await _end(connection, "give_back", request)


async def note_traceback(connection: db.Executor, request: Request, traceback: str) -> bool:
    """Keep where an attempt failed, for whoever looks closer."""
    await connection.execute(
        db.queries()["note_traceback"], request.request_id, request.attempt, traceback
    )
    return True


async def _end(connection: db.Executor, query: str, request: Request, *values: object) -> bool:
    done = await connection.fetchval(
        db.queries()[query], request.request_id, request.attempt, *values
    )
    return done is not None


async def detail(connection: db.Executor, request_id: UUID) -> str | None:
    """Read a request with everything that was made of it, as the JSON of ``views.Detail``."""
    text: str | None = await connection.fetchval(db.queries()["detail"], request_id)
    return text


async def list_requests(
    connection: db.Executor,
    *,
    status: Status | None,
    media_type: MediaType | None,
    limit: int,
    offset: int,
) -> list[str]:
    """List requests, newest first, each as the JSON of ``views.RequestView``."""
    rows = await connection.fetch(db.queries()["list_requests"], status, media_type, limit, offset)
    return [row[0] for row in rows]


async def request_status(connection: db.Executor, request_id: UUID) -> Status | None:
    """Read a request's status; None when there is no such request."""
    status: Status | None = await connection.fetchval(db.queries()["request_status"], request_id)
    return status


async def queue_depth(connection: db.Executor) -> QueueDepth:
    """Count what waits and what runs."""
    row = await connection.fetchrow(db.queries()["queue_depth"])
    return QueueDepth.model_validate(dict(row or {}))
