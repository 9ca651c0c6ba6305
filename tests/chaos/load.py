"""A client of the API that comes again when it is told to, and the books of what it was told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import aiohttp

from mediaq import db, events
from mediaq.cli import wiring
from mediaq.settings import Database, Settings


@asynccontextmanager
async def serving(settings: Settings, database: Database) -> AsyncIterator[aiohttp.ClientSession]:
    """The API, and a client of it."""
    stop = asyncio.Event()
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(wiring.serve_api(settings, database, stop, url.set_result))
    try:
        async with aiohttp.ClientSession(await url) as client:
            yield client
    finally:
        stop.set()
        await task


async def submit(client: aiohttp.ClientSession, video: Path) -> UUID | None:
    """Ask for one frame; None when the answer is to come again later."""
    body = {"media_path": str(video), "options": {"frames": 1}, "prompt": "x" * 4000}
    async with client.post("/api/media/video", json=body) as answer:
        told = await answer.json()
        if answer.status == 202:
            return UUID(told["request_id"])
        assert answer.status == 503
        assert answer.content_type == "application/problem+json"
        assert int(answer.headers["Retry-After"]) > 0
        assert told["detail"].startswith("the database cannot")
        return None


async def settled(
    database: Database, pool: db.Pool, accepted: Collection[UUID], outputs: Path
) -> None:
    """Wait for the ends of all that was accepted, and balance the books: each is there once."""
    async with events.bells(database) as bells:
        for request_id in accepted:
            async for event in events.of_request(pool, bells, request_id):
                assert event.error is None
                if event.event == "completed":
                    break
    while await pool.fetchval(  # noqa: ASYNC110 - rows tell it
        "SELECT count(*) FROM mediaq.procrastinate_jobs"
    ):
        await asyncio.sleep(0.05)
    rows = await pool.fetch(
        "SELECT request_id, status, failed_attempts, (SELECT array_agg(outcome)"
        " FROM mediaq.attempts AS a WHERE a.request_id = r.request_id) AS outcomes,"
        " (SELECT count(*) FROM contact_sheets AS s WHERE s.request_id = r.request_id)"
        " AS sheets FROM media_analysis_requests AS r"
    )
    assert {row["request_id"] for row in rows} >= set(accepted)
    for row in rows:
        assert (row["status"], row["failed_attempts"], row["sheets"]) == ("completed", 0, 1)
        assert row["outcomes"].count("completed") == 1
        assert set(row["outcomes"]) <= {"completed", "given back"}
    made = {row[0] for row in await pool.fetch("SELECT file_path FROM media_files")}
    assert made == {str(path) for path in outputs.rglob("*") if path.is_file()}
