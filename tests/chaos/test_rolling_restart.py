"""A rolling restart under load: nothing is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import pytest

from mediaq import db, events, queue
from mediaq.events import Bells
from mediaq.model import TERMINAL
from mediaq.settings import Database, Settings
from tests.conftest import Insert, until_no_job_is_left, working

REQUESTS = 24


@pytest.mark.parametrize("drain_timeout", [30, 0])
async def test_two_workers_that_are_restarted_in_turn_end_every_request_once(
    drain_timeout: float,
    settings: Settings,
    database: Database,
    pool: db.Pool,
    bells: Bells,
    insert: Insert,
    video: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With no time to drain, running requests are given back and resumed."""
    monkeypatch.setattr(queue, "POLL_SECONDS", 0.5)
    quick = settings.model_copy(update={"drain_timeout": drain_timeout, "concurrency": 2})
    start = await events.cursor(pool)
    options = {"frames": 2, "want": ["contact_sheets"]}
    waiting = {await insert(media_path=str(video), options=options) for _ in range(REQUESTS)}
    ended: list[UUID] = []
    async with asyncio.timeout(100), AsyncExitStack() as stack:
        old = [await stack.enter_async_context(AsyncExitStack()) for _ in range(2)]
        for place in old:
            await place.enter_async_context(working(quick, database))
        async for event in events.feed(pool, bells, start):
            if event.event in TERMINAL:
                assert event.event == "completed"
                ended.append(event.request_id)
            # A restart whenever a quarter of the work is done.
            if event.event in TERMINAL and len(ended) in {REQUESTS // 4, REQUESTS // 2}:
                place = old.pop()
                await place.aclose()
                await stack.enter_async_context(working(quick, database))
            if len(ended) == REQUESTS:
                break
        # A request that was given back may have a job too many, which ends quietly.
        await until_no_job_is_left(pool)
    assert set(ended) == waiting
    counted = await pool.fetchrow(
        "SELECT (SELECT count(*) FROM contact_sheets) AS sheets,"
        " (SELECT count(*) FROM media_analysis_results) AS results,"
        " (SELECT count(*) FROM mediaq.steps) AS steps,"
        " (SELECT count(*) FROM mediaq.procrastinate_jobs) AS jobs,"
        " (SELECT count(*) FROM mediaq.workers) AS workers,"
        " (SELECT json_agg(a) FROM mediaq.attempts AS a"
        "   WHERE outcome IS NULL OR outcome NOT IN ('completed', 'given back')) AS unforeseen"
    )
    assert tuple(counted or ()) == (REQUESTS, REQUESTS, 2 * REQUESTS, 0, 0, None)
