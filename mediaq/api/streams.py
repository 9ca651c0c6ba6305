"""GET: events as they happen, as server-sent events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Protocol

import asyncpg
import structlog
from aiohttp import web

from mediaq import events
from mediaq.api import bodies, context, requests
from mediaq.api.context import Context
from mediaq.api.hub import Hub, Line, OfAll, OfOne
from mediaq.api.problems import RETRY_SECONDS, Problem
from mediaq.events import Cursor

HEARTBEAT_SECONDS = 15.0
"""Longest silence of a stream: proxies close what is silent, and who is gone is found out."""

SLOW_SECONDS = 15.0
"""How long a client may take nothing before its stream is cut."""

RECONNECT_MS = (1000, 3000)
"""When clients come back; all over the range, so that a restarted server is not run over."""

HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    # nginx would keep events until its buffer is full.
    "X-Accel-Buffering": "no",
}

log = structlog.get_logger()


class Source(Protocol):
    """What a stream tells."""

    at: Cursor
    over: bool

    async def lines(self) -> Sequence[Line]:
        """Wait for the next lines."""


class Streams:
    """The open streams of one process, and the hub that they share."""

    def __init__(self, here: Context) -> None:
        self.hub = Hub(here.pool, here.bells)
        self._here = here
        self._open: set[asyncio.Task[object]] = set()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Count the present task as a stream; raises :class:`Problem` when there are enough."""
        most, task = self._here.max_streams, asyncio.current_task()
        if len(self._open) >= most or task is None:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{most} event streams are open, as many as MEDIAQ_MAX_STREAMS allows",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )
        self._open.add(task)
        try:
            yield
        finally:
            self._open.discard(task)

    def end(self) -> None:
        """End every stream now."""
        for task in self._open:
            task.cancel()


STREAMS = web.AppKey("streams", Streams)


async def of_all(request: web.Request) -> web.StreamResponse:
    """Tell what happens to all requests, from now or from behind an event."""
    query = bodies.following(request, bodies.FollowingAll)
    streams, pool = request.app[STREAMS], context.of(request).pool
    with streams.entered():
        at = end = await context.ask(events.cursor(pool))
        if isinstance(query.since, int):
            at = await context.ask(events.cursor(pool, since=query.since))
        elif query.since is not None:
            # A place that lies ahead comes from another database.
            at = min(query.since, end)

        def wanted(line: Line) -> bool:
            return (not query.event or line.event in query.event) and (
                not query.media_type or line.media_type in query.media_type
            )

        with streams.hub.followed(end):
            return await _stream(request, OfAll(streams.hub, at, wanted))


async def of_one(request: web.Request) -> web.StreamResponse:
    """Tell what happens to a request, from its beginning or from behind an event, to its end."""
    request_id = requests.identified(request)
    since = bodies.following(request, bodies.Following).since
    at = since if isinstance(since, Cursor) else Cursor(0, since or 0)
    streams, here = request.app[STREAMS], context.of(request)
    with streams.entered():
        standing = await context.ask(events.standing(here.pool, request_id))
        if standing.status is None and (since is None or not standing.last_event):
            raise requests.unknown(request_id)
        if standing.over(at.event_id):
            # By this, clients that reconnect after the end of a stream learn that it was the end.
            return web.Response(status=HTTPStatus.NO_CONTENT)
        with here.bells.waiter(request_id) as rung:
            return await _stream(request, OfOne(streams.hub, request_id, at, rung))


async def _stream(request: web.Request, source: Source) -> web.StreamResponse:
    """Write what the source tells until it is over, the client leaves or the server stops."""
    response = web.StreamResponse(headers=HEADERS)
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    _notice_absence(request)
    try:
        await _write(response, source)
    except asyncio.CancelledError:
        if not context.of(request).stopping.is_set():
            raise
    except asyncpg.PostgresError:
        # The client comes back and is told as every other one.
        log.exception("stream.failed", path=request.path)
    except (ConnectionError, TimeoutError):
        # The client left, or takes nothing; what waits for it is given up.
        if request.transport is not None:
            request.transport.abort()
    return response


async def _write(response: web.StreamResponse, source: Source) -> None:
    """Write lines as they come, and a sign of life when none do.

    aiohttp-sse would do no more than join the text of an event, which the hub does once for all,
    and start a task for the heartbeat of every client. Raises :class:`TimeoutError` for a client
    that takes nothing.
    """
    # Whoever is cut off before the first event goes on from here, too.
    told = source.at
    text = f"retry: {random.randint(*RECONNECT_MS)}\nid: {told}\n\n".encode()  # noqa: S311 - jitter, not a secret
    while True:
        async with asyncio.timeout(SLOW_SECONDS):
            await response.write(text)
        if source.over:
            return
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                lines = await source.lines()
        except TimeoutError:
            # An id without data moves the client on past what it does not want.
            text = b":\n\n" if told == source.at else f"id: {source.at}\n\n".encode()
            told = source.at
        else:
            text = b"".join(line.text for line in lines)
            told = lines[-1].at


def _notice_absence(request: web.Request) -> None:
    """Let the kernel cut a connection on which nothing has arrived for a while."""
    transport = request.transport
    found = transport.get_extra_info("socket") if transport is not None else None
    # Not every system has it.
    if found is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        milliseconds = int((HEARTBEAT_SECONDS + SLOW_SECONDS) * 1000)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
