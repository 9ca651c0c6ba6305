"""GET: one request with all that was made of it, or a list of requests."""

from __future__ import annotations

from http import HTTPStatus
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel

from mediaq import store
from mediaq.api import bodies, context
from mediaq.api.problems import Problem
from mediaq.views import RequestView


class RequestList(BaseModel):
    """A page of requests, newest first; ``count`` is how many are in it."""

    requests: list[RequestView]
    count: int


async def status(request: web.Request) -> web.Response:
    """Answer one request with its results, files and contact sheets."""
    text = request.match_info["request_id"]
    try:
        request_id = UUID(text)
    except ValueError:
        raise Problem(
            HTTPStatus.NOT_FOUND, f"no request has the id {text[:60]!r}: an id is a UUID"
        ) from None
    detail = await context.ask(store.detail(context.of(request).pool, request_id))
    if detail is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"no request has the id {request_id}")
    return web.json_response(text=detail.model_dump_json())


async def listing(request: web.Request) -> web.Response:
    """Answer a page of requests."""
    query = bodies.listing(request)
    rows = await context.ask(
        store.list_requests(
            context.of(request).pool,
            status=query.status,
            media_type=query.media_type,
            limit=query.limit,
            offset=query.offset,
        )
    )
    return web.json_response(text=RequestList(requests=rows, count=len(rows)).model_dump_json())
