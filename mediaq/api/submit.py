"""POST: one INSERT, answered at once or, when preferred, with the finished request."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from uuid import UUID

from aiohttp import web

from mediaq import db, events, intake, store
from mediaq.api import bodies, context
from mediaq.api.context import Context
from mediaq.api.problems import refused
from mediaq.errors import Rejected
from mediaq.model import LAST, TERMINAL, MediaType, NewRequest


async def video(request: web.Request) -> web.Response:
    """Submit a video."""
    return await _submit(request, "video")


async def audio(request: web.Request) -> web.Response:
    """Submit audio."""
    return await _submit(request, "audio")


async def document(request: web.Request) -> web.Response:
    """Submit a document."""
    return await _submit(request, "document")


async def analyze(request: web.Request) -> web.Response:
    """Submit any media; its type is told, or found out."""
    return await _submit(request, None)


async def _submit(request: web.Request, media_type: MediaType | None) -> web.Response:
    wait = bodies.preferred_wait(request)
    body = await bodies.submission(request, media_type)
    new = NewRequest(source_endpoint=request.path, **body.model_dump())
    pool = context.of(request).pool
    inserting = asyncio.create_task(context.ask(intake.insert(pool, new)))
    try:
        # Also when the client does not wait for the answer: its leaving cancels this handler.
        accepted = await asyncio.shield(inserting)
    except Rejected as refusal:
        part = await context.ask(intake.refused_part(pool, new.options, refusal))
        raise refused(refusal, part) from None
    headers = {"Location": f"/api/media/status/{accepted.request_id}"}
    if accepted.replayed:
        headers["Idempotent-Replayed"] = "true"
    if wait is not None:
        headers["Preference-Applied"] = f"wait={wait:g}"
        detail = await _ended(context.of(request), accepted.request_id, wait)
        if detail is not None:
            return web.json_response(text=detail, headers=headers)
    return web.json_response(
        text=accepted.model_dump_json(), status=HTTPStatus.ACCEPTED, headers=headers
    )


async def _ended(here: Context, request_id: UUID, seconds: float) -> str | None:
    """Wait until the request has ended and read it; None when that takes longer.

    The request was accepted, so trouble with the database on the way, or our own stop, is no
    failure.
    """

    async def end() -> str | None:
        async for event in events.of_request(here.pool, here.bells, request_id):
            if event.event in LAST:
                status = await store.request_status(here.pool, request_id)
                # An end of long ago, when the request was asked again since, is none.
                if status is None or status in TERMINAL:
                    return await store.detail(here.pool, request_id)
        return None

    async def stop() -> None:
        await here.stopping.wait()

    try:
        return await context.within(seconds, end(), stop())
    except db.PASSING_ERRORS:
        return None
