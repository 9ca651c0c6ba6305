"""What is old goes, what waits or runs stays."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from mediaq import db, retention
from mediaq.retention import Keep, Removed
from mediaq.settings import Database
from tests.conftest import Insert, until
from tests.flow.test_cli import environment as environment  # noqa: PLC0414 - a fixture
from tests.flow.test_cli import run
from tests.flow.test_state import STATES, bring

DAY = timedelta(days=1)
NOTHING = Keep(requests=None, events=999 * DAY, jobs=999 * DAY, workers=999 * DAY)


async def age(pool: db.Pool, request_id: UUID, days: int) -> None:
    """Let a request be older than it is; the triggers would not allow it."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(
            "UPDATE media_analysis_requests SET created_at = created_at - $2::interval,"
            " started_at = started_at - $2::interval, completed_at = completed_at - $2::interval"
            " WHERE request_id = $1",
            request_id,
            days * DAY,
        )


async def left(pool: db.Pool) -> set[str]:
    return {row[0] for row in await pool.fetch("SELECT status FROM media_analysis_requests")}


async def test_only_requests_that_ended_long_ago_are_removed(pool: db.Pool, insert: Insert) -> None:
    for status in STATES:
        await age(pool, await bring(pool, insert, status), 31)
    young = await bring(pool, insert, "completed")
    await age(pool, young, 29)
    assert await pool.fetchval("SELECT cleanup_old_requests()") == 3
    assert await left(pool) == {"pending", "processing", "completed"}
    assert await pool.fetchval("SELECT cleanup_old_requests('28 days')") == 1
    assert await pool.fetchval("SELECT cleanup_old_requests(interval '0')") == 0
    assert await left(pool) == {"pending", "processing"}


async def test_the_end_counts_and_not_the_beginning(pool: db.Pool, insert: Insert) -> None:
    request_id = await bring(pool, insert, "pending")
    await age(pool, request_id, 365)
    await pool.execute("UPDATE media_analysis_requests SET status = 'cancelled'")
    assert await pool.fetchval("SELECT cleanup_old_requests()") == 0


async def test_what_was_made_of_a_request_goes_with_it(pool: db.Pool, insert: Insert) -> None:
    request_id = await bring(pool, insert, "failed")
    await pool.execute(
        "INSERT INTO media_files (request_id, file_type, file_path) VALUES ($1, 'frame', 'x')",
        request_id,
    )
    await pool.execute("SELECT cleanup_old_requests('0 days')")
    assert await pool.fetchval("SELECT count(*) FROM media_files") == 0


async def test_a_large_table_is_cleaned_in_small_transactions(
    pool: db.Pool, insert: Insert
) -> None:
    for _ in range(5):
        await bring(pool, insert, "cancelled")
    removed = [
        await pool.fetchval("SELECT cleanup_old_requests('0 days', at_most => 2)") for _ in range(4)
    ]
    assert removed == [2, 2, 1, 0]


async def test_two_who_clean_at_once_do_not_wait_for_each_other(
    pool: db.Pool, insert: Insert
) -> None:
    for _ in range(2):
        await bring(pool, insert, "cancelled")
    async with pool.acquire() as first, first.transaction():
        assert await first.fetchval("SELECT cleanup_old_requests('0 days', 1)") == 1
        async with asyncio.timeout(10):
            assert await pool.fetchval("SELECT cleanup_old_requests('0 days')") == 1


@pytest.mark.parametrize("interval", ["-1 day", None])
async def test_an_interval_that_would_take_everything_is_refused(
    pool: db.Pool, insert: Insert, interval: str | None
) -> None:
    await bring(pool, insert, "completed")
    with pytest.raises(asyncpg.InvalidParameterValueError, match="interval of 0 or more"):
        await pool.execute("SELECT cleanup_old_requests($1::text::interval)", interval)
    assert await left(pool) == {"completed"}


async def test_events_jobs_and_workers_go_after_their_time_in_batches(
    pool: db.Pool, insert: Insert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    for status in STATES:
        await bring(pool, insert, status)
    events = await pool.fetchval("SELECT count(*) FROM mediaq.events")
    await pool.execute("UPDATE mediaq.events SET at = at - interval '2 days'")
    await insert(media_path="/young.mp4")
    jobs = [
        row[0] for row in await pool.fetch("SELECT id FROM mediaq.procrastinate_jobs ORDER BY 1")
    ]
    old, dead = await pool.fetch(
        "INSERT INTO mediaq.procrastinate_workers (last_heartbeat)"
        " VALUES (now() - interval '2 days'), (now() - interval '2 days') RETURNING id"
    )
    await pool.execute("INSERT INTO mediaq.procrastinate_workers DEFAULT VALUES")
    await pool.execute(
        "INSERT INTO mediaq.workers (host, pid, seen_at)"
        " VALUES ('dead', 1, now() - interval '2 days'), ('alive', 1, now())"
    )
    end = "UPDATE mediaq.procrastinate_jobs SET status = $2, worker_id = $3 WHERE id = $1"
    await pool.execute(end, jobs[0], "doing", old["id"])
    for job in jobs[1:4]:
        await pool.execute(end, job, "failed", None)
    await pool.execute(
        "UPDATE mediaq.procrastinate_events SET at = at - interval '2 days' WHERE job_id <> $1",
        jobs[3],
    )

    kept = Keep(requests=None, events=DAY, jobs=DAY, workers=DAY)
    wanted = Removed(requests=0, events=events, jobs=2, workers=2)
    assert await retention.clean(pool, NOTHING) == Removed(0, 0, 0, 0)
    assert await retention.clean(pool, kept, dry_run=True) == wanted
    assert await retention.clean(pool, kept) == wanted
    assert await retention.clean(pool, kept) == Removed(0, 0, 0, 0)
    assert await pool.fetchval("SELECT count(*) FROM mediaq.events") == 1
    assert await pool.fetchval("SELECT count(*) FROM media_analysis_requests") == len(STATES) + 1
    workers = await pool.fetch("SELECT id FROM mediaq.procrastinate_workers")
    assert dead["id"] not in {row["id"] for row in workers}
    # A living worker stays, however short workers are kept.
    await retention.clean(pool, replace(kept, workers=timedelta(0)))
    assert await pool.fetchval("SELECT array_agg(host) FROM mediaq.workers") == ["alive"]


async def test_the_command_counts_first_and_removes_then(
    environment: dict[str, str], pool: db.Pool, insert: Insert
) -> None:
    await age(pool, await bring(pool, insert, "completed"), 31)
    await age(pool, await bring(pool, insert, "failed"), 2)
    await bring(pool, insert, "pending")

    counted = await run(environment, "cleanup", "--older-than", "30d", "--dry-run", "--json")
    assert counted.code == 0
    assert json.loads(counted.out) == {
        "dry_run": True,
        "requests": 1,
        "events": 0,
        "jobs": 0,
        "workers": 0,
    }
    assert len(await left(pool)) == 3
    removed = await run(environment, "cleanup")
    assert removed.out.splitlines()[0] == "removed 1 requests"
    removed = await run(environment | {"MEDIAQ_KEEP_REQUESTS_DAYS": "1.5"}, "cleanup", "--json")
    assert json.loads(removed.out)["requests"] == 1
    assert await left(pool) == {"pending"}


@pytest.mark.parametrize("text", ["30", "d", "-1d", "1.5d", "30 days", "1y", ""])
async def test_an_age_that_cannot_be_read_removes_nothing(
    environment: dict[str, str], database: Database, text: str
) -> None:
    refused = await run(environment, "cleanup", "--older-than", text)
    assert refused.code == 2
    assert "is no age such as 30d" in refused.err


async def test_hot_tables_are_vacuumed_before_a_fifth_of_them_is_dead(pool: db.Pool) -> None:
    rows = await pool.fetch(
        "SELECT relname, reloptions FROM pg_class WHERE reloptions IS NOT NULL AND relkind = 'r'"
    )
    found = {row["relname"]: dict(o.split("=") for o in row["reloptions"]) for row in rows}
    for name in (
        *("procrastinate_jobs", "procrastinate_events", "events", "media_analysis_requests"),
    ):
        assert float(found[name]["autovacuum_vacuum_scale_factor"]) < 0.1


async def test_a_worker_cleans_now_and_then(
    pool: db.Pool, insert: Insert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CLEAN_SECONDS", 0.01)
    for status in ("completed", "pending"):
        await bring(pool, insert, status)
    kept = Keep(requests=timedelta(0), events=DAY, jobs=DAY, workers=DAY)
    cleaning = asyncio.create_task(retention.keep_clean(pool, kept))
    requests = "media_analysis_requests"
    await until(pool, f"SELECT count(*) = 1 FROM {requests}", requests)  # noqa: S608 - a name
    cleaning.cancel()
    assert await pool.fetchval("SELECT status FROM media_analysis_requests") == "pending"
