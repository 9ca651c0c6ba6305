"""The application: routes, limits, and how it is served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog
from aiohttp import web

from mediaq import limits
from mediaq.api import bodies, health, problems, requests, streams, submit
from mediaq.api.connection import Connection
from mediaq.api.context import CONTEXT, Context
from mediaq.api.streams import STREAMS, Streams
from mediaq.errors import Unavailable

SPARE_FILES = 200
"""Open files beside those of event streams: other requests, the database, logs."""

log = structlog.get_logger()


def make(context: Context) -> web.Application:
    """Build the application around an open database."""
    app = web.Application(middlewares=[problems.middleware], client_max_size=bodies.MAX_BODY)
    app[CONTEXT] = context
    app[STREAMS] = Streams(context)
    app.on_shutdown.append(_stop_waiting)
    app.add_routes(
        [
            web.post("/api/media/video", submit.video),
            web.post("/api/media/audio", submit.audio),
            web.post("/api/media/document", submit.document),
            web.post("/api/media/analyze", submit.analyze),
            web.get("/api/media/status/{request_id}", requests.status),
            web.get("/api/media/requests", requests.listing),
            web.get("/api/media/events", streams.of_all),
            web.get("/api/media/{request_id}/events", streams.of_one),
            web.get("/health", health.health),
        ]
    )
    return app


async def _stop_waiting(app: web.Application) -> None:
    """Answer clients that wait for the end of a request now, with what was accepted.

    Streams end.
    """
    app[CONTEXT].stopping.set()
    app[STREAMS].end()


async def serve(
    context: Context, *, host: str, port: int, stop: asyncio.Event, ready: Callable[[str], None]
) -> None:
    """Serve until ``stop`` is set; ``ready`` hears the URL once requests are taken.

    Port 0 takes a free one. Raises :class:`Unavailable` when the address cannot be bound.
    """
    room = limits.open_files(context.max_streams + SPARE_FILES) - SPARE_FILES
    if room < context.max_streams:
        log.warning("api.few_files", streams=room, max_streams=context.max_streams)
        context = replace(context, max_streams=room)
    runner = web.AppRunner(
        make(context),
        shutdown_timeout=10,
        # Nobody hears the answer, and a stream of events would never end.
        handler_cancellation=True,
    )
    await runner.setup()
    try:
        async with _listening(runner, host, port) as bound:
            ready(f"http://{f'[{bound[0]}]' if ':' in bound[0] else bound[0]}:{bound[1]}")
            await stop.wait()
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _listening(runner: web.AppRunner, host: str, port: int) -> AsyncIterator[tuple[str, int]]:
    """Take connections of ours for the length of the block, as aiohttp's TCPSite takes its own."""
    manager = runner.server
    assert manager is not None  # noqa: S101 - the runner was set up
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(
            # Without a log of accesses, as aiohttp's runners spell it.
            lambda: Connection(manager, loop=loop, access_log=None),  # type: ignore[arg-type]
            host,
            port,
        )
    except OSError as error:
        msg = f"the API cannot listen on {host}:{port}: {error.strerror}"
        raise Unavailable(msg) from error
    try:
        yield server.sockets[0].getsockname()[:2]
    finally:
        server.close()
