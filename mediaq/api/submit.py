"""POST: one INSERT, answered at once or, when preferred, with the finished request."""

from __future__ import annotations

from http import HTTPStatus
from uuid import UUID

from aiohttp import web

from mediaq import db, events, store
from mediaq.api import bodies, context
from mediaq.api.context import Context
from mediaq.api.problems import Problem
from mediaq.model import LAST, TERMINAL, MediaType, NewRequest

NOT_YET: frozenset[MediaType] = frozenset({"audio"})


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
    if body.media_type in NOT_YET:
        raise Problem(
            HTTPStatus.NOT_IMPLEMENTED,
            f"{body.media_type} is not analysed by this version; video is",
        )
    new = NewRequest(
        options=body.options.model_dump(exclude_unset=True, exclude_none=True),
        source_endpoint=request.path,
        **body.model_dump(exclude={"options"}),
    )
    accepted = await context.ask(store.insert_request(context.of(request).pool, new))
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
    except db.CONNECTION_ERRORS:
        return None
