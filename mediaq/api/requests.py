"""GET: one request with all that was made of it, or a list of requests."""

from __future__ import annotations

from http import HTTPStatus
from uuid import UUID

from aiohttp import web

from mediaq import store
from mediaq.api import bodies, context
from mediaq.api.problems import Problem


async def status(request: web.Request) -> web.Response:
    """Answer one request with its results, files and contact sheets."""
    request_id = identified(request)
    detail = await context.ask(store.detail(context.of(request).pool, request_id))
    if detail is None:
        raise unknown(request_id)
    return web.json_response(text=detail)


async def listing(request: web.Request) -> web.Response:
    """Answer a page of requests, newest first; ``count`` is how many are in it."""
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
    # The rows are JSON already; a page of them needs no second pass.
    return web.json_response(text=f'{{"requests":[{",".join(rows)}],"count":{len(rows)}}}')


def identified(request: web.Request) -> UUID:
    """Read the id in the path; raises :class:`Problem` when it is none."""
    text = request.match_info["request_id"]
    try:
        return UUID(text)
    except ValueError:
        raise Problem(
            HTTPStatus.NOT_FOUND, f"no request has the id {text[:60]!r}: an id is a UUID"
        ) from None


def unknown(request_id: UUID) -> Problem:
    """Make the problem of a request that does not exist."""
    return Problem(HTTPStatus.NOT_FOUND, f"no request has the id {request_id}")
