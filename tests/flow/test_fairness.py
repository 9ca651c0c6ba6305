"""Who is served next: groups in turns, at most so many of a group, so many starts in a period."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from mediaq import db, queue, recovery
from mediaq.queue.connector import AsyncpgConnector
from mediaq.settings import Database
from tests.flow.test_queue import claim, serving

ASK = (
    "INSERT INTO media_analysis_requests (media_type, media_path, group_key, options, priority)"
    " SELECT 'video', '/x', $1, $2, $4 FROM generate_series(1, $3)"
)


async def ask(
    pool: db.Pool,
    group: str | None,
    count: int = 1,
    *,
    max_parallel: int | None = None,
    priority: int = 0,
) -> None:
    options = {} if max_parallel is None else {"max_parallel": max_parallel}
    await pool.execute(ASK, group, options, count, priority)


@pytest.fixture
async def worker(pool: db.Pool) -> int:
    number: int = await pool.fetchval(
        "INSERT INTO mediaq.procrastinate_workers DEFAULT VALUES RETURNING id"
    )
    return number


@pytest.fixture
async def engine(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[db.Pool]:
    """A pool as the queue wants it; the poll is so far away that what waits for it hangs."""
    monkeypatch.setattr(queue, "POLL_SECONDS", 7200.0)
    async with db.pool(
        database, name="test", size=1, overflow=20, search_path=queue.SEARCH_PATH
    ) as opened:
        yield opened


async def served(pool: db.Pool, worker: int, count: int) -> list[str]:
    """Claim jobs one by one, and name the group of each; they stay running."""
    names = []
    for _ in range(count):
        (number,) = await claim(pool, worker, 1)
        names.append(await group_of(pool, number))
    return names


async def group_of(pool: db.Pool, job: int) -> str:
    name: str = await pool.fetchval(
        "SELECT group_key FROM mediaq.procrastinate_jobs WHERE id = $1", job
    )
    return name


async def finish(pool: db.Pool, worker: int, jobs: list[int]) -> None:
    await pool.execute(db.queries()["finish_jobs"], worker, jobs, [], [])


async def test_ten_thousand_of_one_do_not_starve_one_of_another(pool: db.Pool, worker: int) -> None:
    await ask(pool, "many", 10_000)
    await ask(pool, "one")
    assert await served(pool, worker, 4) == ["many", "one", "many", "many"]


async def test_groups_take_turns_and_each_keeps_its_order(pool: db.Pool, worker: int) -> None:
    for group in "aaaabbcaab":
        await ask(pool, group)
    jobs = [(await claim(pool, worker, 1))[0] for _ in range(10)]
    groups = [await group_of(pool, job) for job in jobs]
    assert "".join(groups) == "abcababaaa"
    for group in "abc":
        mine = [job for job, name in zip(jobs, groups, strict=True) if name == group]
        assert mine == sorted(mine)


async def test_requests_without_a_group_are_one_group(pool: db.Pool, worker: int) -> None:
    await ask(pool, None, 100)
    await ask(pool, "one", 2)
    assert await served(pool, worker, 4) == ["", "one", "", "one"]


async def test_a_newcomer_joins_the_round_that_is_being_served(pool: db.Pool, worker: int) -> None:
    await ask(pool, "old", 100)
    await served(pool, worker, 50)
    await ask(pool, "new", 100)
    assert Counter(await served(pool, worker, 20)) == {"old": 10, "new": 10}


async def test_priority_goes_before_fairness(pool: db.Pool, worker: int) -> None:
    await ask(pool, "low", 3)
    await ask(pool, "high", 3, priority=5)
    assert await served(pool, worker, 4) == ["high", "high", "high", "low"]


async def test_what_becomes_due_joins_the_end_of_its_groups_line(
    pool: db.Pool, worker: int
) -> None:
    await pool.execute(
        "INSERT INTO media_analysis_requests (media_type, media_path, group_key, run_after)"
        " SELECT 'video', '/x', 'later', now() + interval '1 hour' FROM generate_series(1, 20)"
    )
    await ask(pool, "now", 40)
    await served(pool, worker, 10)
    await pool.execute(
        "UPDATE mediaq.procrastinate_jobs SET scheduled_at = now() WHERE scheduled_at IS NOT NULL"
    )
    assert Counter(await served(pool, worker, 20)) == {"later": 10, "now": 10}


async def test_queues_take_turns_too(pool: db.Pool, worker: int) -> None:
    await ask(pool, None, 1000)
    await pool.execute(
        "INSERT INTO media_analysis_requests (media_type, media_path) VALUES ('audio', '/x')"
    )
    jobs = await claim(pool, worker, 4)
    names = await pool.fetch(
        "SELECT queue_name FROM mediaq.procrastinate_jobs WHERE id = ANY ($1)", jobs
    )
    assert sorted(row["queue_name"] for row in names) == ["audio", "video", "video", "video"]


# The limit of a group.


async def test_a_group_runs_no_more_than_it_may_and_others_go_on(
    pool: db.Pool, worker: int
) -> None:
    await ask(pool, "two", 50, max_parallel=2)
    await ask(pool, "free", 5)
    jobs = await claim(pool, worker, 10)
    assert Counter([await group_of(pool, job) for job in jobs]) == {"two": 2, "free": 5}
    assert await claim(pool, worker, 10) == []
    first = [job for job in jobs if await group_of(pool, job) == "two"][:1]
    await finish(pool, worker, first)
    (again,) = await claim(pool, worker, 10)
    assert await group_of(pool, again) == "two"
    assert await claim(pool, worker, 10) == []


async def test_the_limit_of_a_group_holds_over_all_workers_and_none_waits_for_a_poll(
    database: Database, pool: db.Pool, engine: db.Pool
) -> None:
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()
    left = 120
    done = asyncio.Event()

    async def analyse(request_id: str) -> None:
        nonlocal left
        name: str = await pool.fetchval(
            "SELECT group_key FROM media_analysis_requests WHERE request_id = $1", UUID(request_id)
        )
        running[name] += 1
        most[name] = max(most[name], running[name])
        await pool.execute("SELECT pg_sleep(0.001)")
        running[name] -= 1
        left -= 1
        if not left:
            done.set()

    await ask(pool, "one", 40, max_parallel=1)
    await ask(pool, "three", 40, max_parallel=3)
    tasks = {"mediaq.analyse": analyse}
    async with (
        serving(database, engine, tasks, concurrency=5),
        serving(database, engine, tasks, concurrency=5),
        asyncio.timeout(60),
    ):
        await ask(pool, "free", 40)
        await done.wait()
    assert (most["one"], most["three"]) == (1, 3)
    assert await pool.fetchval("SELECT count(*) FROM mediaq.procrastinate_jobs") == 0


async def test_a_full_group_costs_the_others_nothing(pool: db.Pool, worker: int) -> None:
    """What waits beside the line is not looked at again."""
    await ask(pool, "full", 3000, max_parallel=1)
    assert len(await claim(pool, worker, 10)) == 1
    await pool.execute("VACUUM ANALYZE mediaq.procrastinate_jobs")
    read = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables"
    await ask(pool, "free", 2)
    async with pool.acquire() as connection, connection.transaction():
        before = await connection.fetchval(read)
        rows = await connection.fetch(db.queries()["claim_jobs"], None, worker, 1)
        assert len(rows) == 1
        assert await connection.fetchval(read) - before < 100


async def test_the_sweep_lets_in_what_a_dead_worker_left_waiting(
    pool: db.Pool, worker: int
) -> None:
    await ask(pool, "one", 2, max_parallel=1)
    (running,) = await claim(pool, worker, 5)
    await pool.execute("DELETE FROM mediaq.procrastinate_jobs WHERE id = $1", running)
    assert await claim(pool, worker, 5) == []
    await recovery.Keeper(pool, await recovery.register(pool), 10, 30).sweep()
    assert len(await claim(pool, worker, 5)) == 1


async def test_a_limit_without_a_group_is_refused(pool: db.Pool) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError, match="max_parallel needs a group_key"):
        await ask(pool, None, max_parallel=1)
    with pytest.raises(asyncpg.InvalidParameterValueError, match="at most 200 characters, not 201"):
        await ask(pool, "x" * 201)
    await ask(pool, "  ")
    assert await pool.fetchval("SELECT group_key FROM media_analysis_requests") is None


async def test_the_same_key_for_another_group_is_another_request(pool: db.Pool) -> None:
    once = (
        "INSERT INTO media_analysis_requests (media_path, idempotency_key, group_key)"
        " VALUES ('/x', $1, $2) RETURNING idempotency_fingerprint"
    )
    prints = [
        await pool.fetchval(once, key, group)
        for key, group in [("1", None), ("2", "a"), ("3", "b")]
    ]
    assert len(set(prints)) == 3


# The rate of a queue.


async def test_a_queue_starts_no_more_than_its_rate_in_any_period(
    pool: db.Pool, worker: int
) -> None:
    await pool.execute(
        "INSERT INTO mediaq.queues (queue, rate_limit, rate_period) VALUES ('video', 3, '1 hour')"
    )
    await ask(pool, None, 10)
    assert len(await claim(pool, worker, 2)) == 2
    jobs = await claim(pool, worker, 5)
    assert len(jobs) == 1
    # That one ended gives no room, that time went by does.
    await finish(pool, worker, jobs)
    assert await claim(pool, worker, 5) == []
    await pool.execute(
        "UPDATE mediaq.starts SET started_at = started_at - interval '1 hour'"
        " WHERE ctid = (SELECT ctid FROM mediaq.starts ORDER BY started_at LIMIT 1)"
    )
    assert len(await claim(pool, worker, 5)) == 1
    assert await pool.fetchval("SELECT count(*) FROM mediaq.starts") == 3
    # A change is in force at once.
    await pool.execute("UPDATE mediaq.queues SET rate_limit = 4")
    assert len(await claim(pool, worker, 5)) == 1
    await pool.execute("UPDATE mediaq.queues SET rate_limit = NULL")
    assert len(await claim(pool, worker, 5)) == 5


async def test_a_rate_of_nothing_stops_and_a_nonsensical_one_is_refused(
    pool: db.Pool, worker: int
) -> None:
    await pool.execute("INSERT INTO mediaq.queues (queue, rate_limit) VALUES ('video', 0)")
    await ask(pool, None)
    assert await claim(pool, worker, 5) == []
    assert await pool.fetchval(db.queries()["next_claim_in"], None) is None
    change = "UPDATE mediaq.queues SET rate_limit = $1, rate_period = $2::text::interval"
    for wrong in ((-1, "1 s"), (1, "0"), (1, "2 days")):
        with pytest.raises(asyncpg.CheckViolationError):
            await pool.execute(change, *wrong)


async def test_when_the_rate_has_room_again_no_worker_waits_for_a_poll(
    database: Database, pool: db.Pool, engine: db.Pool
) -> None:
    await pool.execute(
        "INSERT INTO mediaq.queues (queue, rate_limit, rate_period) VALUES ('video', 2, '0.2 s')"
    )
    started: asyncio.Queue[None] = asyncio.Queue()

    async def analyse(request_id: str) -> None:
        started.put_nowait(None)

    await ask(pool, None, 8)
    async with (
        serving(database, engine, {"mediaq.analyse": analyse}, concurrency=4),
        asyncio.timeout(30),
    ):
        for _ in range(8):
            await started.get()


async def test_a_request_for_later_starts_when_it_is_due_and_not_at_the_next_poll(
    database: Database, pool: db.Pool, engine: db.Pool
) -> None:
    started: asyncio.Queue[str] = asyncio.Queue()

    async def analyse(request_id: str) -> None:
        started.put_nowait(request_id)

    async with (
        serving(database, engine, {"mediaq.analyse": analyse}),
        asyncio.timeout(30),
    ):
        await pool.execute(
            "INSERT INTO media_analysis_requests (media_path, run_after)"
            " VALUES ('/x', now() + interval '0.3 s')"
        )
        await started.get()


async def test_a_look_ahead_sees_the_nearest_job_for_later(
    database: Database, pool: db.Pool
) -> None:
    connector = AsyncpgConnector(database, pool)
    assert await connector.jobs.next_claim_in(None) is None
    await pool.execute(
        "INSERT INTO media_analysis_requests (media_path, run_after)"
        " VALUES ('/x', now() + interval '1 hour'), ('/x', now() + interval '1 day')"
    )
    seconds = await connector.jobs.next_claim_in(["video"])
    assert seconds is not None
    assert 3590 < seconds <= 3600
