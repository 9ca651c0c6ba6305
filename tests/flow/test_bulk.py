"""Thousands of rows in one statement: every trigger works on all of them at once."""

from __future__ import annotations

import asyncio

import pytest

from mediaq import db, removal
from mediaq.settings import Database, Settings
from tests.conftest import working

MANY = 5_000


async def insert(pool: db.Pool, count: int, columns: str = "", values: str = "") -> None:
    what = f"INSERT INTO media_analysis_requests (media_type, media_path{columns})"
    rows = f"SELECT 'video', '/' || n{values} FROM generate_series(1, $1::integer) n"  # noqa: S608 - columns of a test
    await pool.execute(f"{what} {rows}", count, timeout=100)


async def set_all(pool: db.Pool, status: str) -> None:
    await pool.execute("UPDATE media_analysis_requests SET status = $1", status)


async def counts(pool: db.Pool, task: str = "mediaq.analyse") -> tuple[int, int]:
    """How many requests there are, and how many jobs of a task."""
    jobs = await pool.fetchval(
        "SELECT count(*) FROM mediaq.procrastinate_jobs WHERE task_name = $1", task
    )
    return await pool.fetchval("SELECT count(*) FROM media_analysis_requests"), jobs


async def events(pool: db.Pool, event: str) -> int:
    number: int = await pool.fetchval(
        "SELECT count(DISTINCT request_id) FROM mediaq.events WHERE event = $1", event
    )
    return number


async def test_a_hundred_thousand_rows_are_queued_by_one_statement(pool: db.Pool) -> None:
    await insert(pool, 100_000)
    assert await counts(pool) == (100_000, 100_000)
    assert await events(pool, "pending") == 100_000
    unmatched = await pool.fetchval(
        "SELECT count(*) FROM media_analysis_requests r LEFT JOIN mediaq.procrastinate_jobs j"
        " ON j.args ->> 'request_id' = r.request_id::text WHERE j.id IS NULL"
    )
    assert unmatched == 0


async def test_thousands_are_cancelled_and_asked_again_by_one_statement_each(
    pool: db.Pool,
) -> None:
    await insert(pool, MANY, ", callback_url", ", CASE WHEN n <= 100 THEN 'http://h.example/' END")
    await set_all(pool, "cancelled")
    assert await events(pool, "cancelled") == MANY
    assert await counts(pool, "mediaq.deliver") == (MANY, 100)
    await set_all(pool, "pending")
    assert await counts(pool) == (MANY, 2 * MANY)
    # The second end is another one.
    await set_all(pool, "cancelled")
    assert await counts(pool, "mediaq.deliver") == (MANY, 200)


async def test_one_row_that_may_not_change_refuses_the_statement_as_a_whole(
    pool: db.Pool,
) -> None:
    await insert(pool, 1000)
    await pool.execute(
        "UPDATE media_analysis_requests SET status = 'processing' WHERE media_path = '/7'"
    )
    await pool.execute(
        "UPDATE media_analysis_requests SET status = 'completed' WHERE media_path = '/7'"
    )
    with pytest.raises(Exception, match="a completed request cannot become cancelled"):
        await set_all(pool, "cancelled")
    assert await events(pool, "cancelled") == 0


async def test_thousands_are_deleted_by_one_statement_with_their_bytes(
    settings: Settings,
    database: Database,
    pool: db.Pool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs: asyncio.Queue[int] = asyncio.Queue()
    run = removal.Removal.remove_files

    async def told(self: removal.Removal, request_ids: list[str]) -> None:
        await run(self, request_ids)
        jobs.put_nowait(len(request_ids))

    monkeypatch.setattr(removal.Removal, "remove_files", told)
    # For later, so that the worker leaves them alone until then.
    await insert(pool, MANY, ", run_after", ", now() + interval '1 hour'")
    await set_all(pool, "processing")
    await set_all(pool, "failed")
    await pool.execute(
        "INSERT INTO media_files (request_id, file_type, file_path)"
        " SELECT request_id, 'frame', '/f' || n"
        " FROM media_analysis_requests, generate_series(1, 3) n"
    )
    outputs = settings.storage / "outputs"
    for row in await pool.fetch("SELECT request_id FROM media_analysis_requests"):
        (outputs / str(row["request_id"]) / "step-1").mkdir(parents=True)
    await pool.execute("DELETE FROM media_analysis_requests")
    assert await counts(pool, "mediaq.remove_files") == (0, MANY // 1000)
    assert await pool.fetchval("SELECT count(*) FROM media_files") == 0
    assert await events(pool, "deleted") == MANY
    async with working(settings, database):
        assert [await jobs.get() for _ in range(MANY // 1000)] == [1000] * (MANY // 1000)
    assert list(outputs.iterdir()) == []
