"""Whether the service can work, and how much waits."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

import mediaq
from mediaq import db, store
from mediaq.api import context


async def health(request: web.Request) -> web.Response:
    """Answer 200 with the depth of the queue, or 503 when the database is away."""
    body: dict[str, object] = {"version": mediaq.__version__}
    try:
        depth = await context.ask(store.queue_depth(context.of(request).pool))
    except db.PASSING_ERRORS:
        body |= {"status": "unavailable", "database": "unreachable"}
        return web.json_response(
            body, status=HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": "5"}
        )
    body |= {"status": "ok", "database": "ok", "queue": depth.model_dump()}
    return web.json_response(body)
