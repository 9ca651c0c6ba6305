"""The database goes away and comes back: jobs go on, bells are heard, nothing runs twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncpg
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from mediaq import db, queue
from mediaq.queue import line
from mediaq.settings import Database
from tests.chaos.conftest import Breakable, Proxy
from tests.conftest import until_no_job_is_left


class Tasks:
    """Jobs that are counted by name and may be held up."""

    def __init__(self) -> None:
        self.ran: dict[str, int] = {}
        self.go = asyncio.Event()
        self._news = asyncio.Condition()

    async def run(self, name: str) -> None:
        async with self._news:
            self.ran[name] = self.ran.get(name, 0) + 1
            self._news.notify_all()
        if name.startswith("held"):
            await self.go.wait()

    async def seen(self, *names: str) -> None:
        async with self._news:
            await self._news.wait_for(lambda: self.ran.keys() >= set(names))


@asynccontextmanager
async def serving(database: Database, tasks: Tasks) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with db.pool(
        database, name="chaos", size=3, overflow=5, search_path=queue.SEARCH_PATH
    ) as pool:
        task = asyncio.create_task(
            queue.serve(
                database,
                pool,
                {"task": tasks.run},
                queues=(),
                concurrency=4,
                drain_timeout=5,
                life=queue.Life(queue.BEAT_SECONDS),
                stop=stop,
            )
        )
        try:
            yield
        finally:
            stop.set()
            await task


@pytest.fixture(autouse=True)
def _no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not rung for hangs."""
    monkeypatch.setattr(queue, "POLL_SECONDS", 7200.0)


async def execute(database: Database, sql: str, *values: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(
        database.dsn.get_secret_value(), server_settings={"search_path": queue.SEARCH_PATH}
    )
    try:
        rows: list[asyncpg.Record] = await connection.fetch(sql, *values)
        return rows
    finally:
        await connection.close()


async def defer(database: Database, *names: str) -> None:
    await execute(
        database,
        "SELECT procrastinate_defer_jobs_v1(array_agg(ROW('video', 'task', 0, NULL, NULL,"
        " jsonb_build_object('name', name), NULL)::procrastinate_job_to_defer_v1))"
        " FROM unnest($1::text[]) AS name",
        list(names),
    )


async def nothing_left(database: Database) -> None:
    rows = await execute(database, "SELECT status::text, args::text FROM procrastinate_jobs")
    assert [tuple(row) for row in rows] == []


class Tries:
    """Counts what was tried in vain, so that a test waits for that and not for a time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._failed = 0
        self._news = asyncio.Condition()
        real = line.Line._note_loss

        async def note(this: line.Line, error: Exception) -> None:
            await real(this, error)
            async with self._news:
                self._failed += 1
                self._news.notify_all()

        monkeypatch.setattr(line.Line, "_note_loss", note)

    async def failed(self, times: int) -> None:
        async with self._news:
            aim = self._failed + times
            await self._news.wait_for(lambda: self._failed >= aim)


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> Tries:
    return Tries(monkeypatch)


@pytest.mark.parametrize("vain", [1, 15, 60])
async def test_a_stopped_server_holds_up_jobs_and_loses_none(
    breakable: Breakable, tries: Tries, monkeypatch: pytest.MonkeyPatch, vain: int
) -> None:
    """Heartbeats and claims fail again and again; the worker lives, and so do its jobs."""
    monkeypatch.setattr(queue, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(line, "RETRY_SECONDS", (0.05, 0.1))
    tasks, recovered = Tasks(), asyncio.Event()

    def note(_: object, __: str, entry: EventDict) -> EventDict:
        if entry["event"] == "listener.recovered":
            recovered.set()
        return entry

    with capture_logs([note]) as logs:
        async with asyncio.timeout(60), serving(breakable.database, tasks):
            await defer(breakable.database, "held 1", "held 2")
            await tasks.seen("held 1", "held 2")
            await breakable.stop()
            tasks.go.set()
            await tries.failed(vain)
            await breakable.start()
            await defer(breakable.database, *(f"later {number}" for number in range(20)))
            await tasks.seen(*(f"later {number}" for number in range(20)))
            # The jobs may have been found before the listener is back.
            await recovered.wait()
    assert set(tasks.ran.values()) == {1}
    await nothing_left(breakable.database)
    told = [entry["event"] for entry in logs]
    assert told.count("queue.database_lost") == told.count("queue.database_recovered") == 1
    assert told.count("listener.lost") == told.count("listener.recovered") == 1
    assert "queue.worker_ended" not in told


async def test_terminated_backends_are_replaced_in_the_middle_of_the_work(
    breakable: Breakable,
) -> None:
    tasks = Tasks()
    names = [f"job {number}" for number in range(1000)]
    async with asyncio.timeout(60), serving(breakable.database, tasks):
        await defer(breakable.database, *names)
        for number in range(0, 1000, 100):
            await tasks.seen(f"job {number}")
            await execute(
                breakable.database,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name IN ('chaos', 'mediaq worker listen')",
            )
        await tasks.seen(*names)
    assert len(tasks.ran) == 1000
    # A finish whose answer was lost is written again, a claim whose answer was lost is given back.
    assert set(tasks.ran.values()) == {1}
    await nothing_left(breakable.database)


async def test_a_connection_whose_packets_vanish_is_noticed_within_15_seconds(
    breakable: Breakable, proxied: Callable[[Database], AbstractAsyncContextManager[Proxy]]
) -> None:
    tasks = Tasks()
    async with (
        asyncio.timeout(60),
        proxied(breakable.database) as proxy,
        serving(proxy.database, tasks),
    ):
        await defer(breakable.database, "before")
        await tasks.seen("before")
        async with db.pool(breakable.database, name="test", size=1, overflow=0) as pool:
            await until_no_job_is_left(pool)
        proxy.freeze()
        began = time.monotonic()
        await defer(breakable.database, "after")
        await tasks.seen("after")
        assert time.monotonic() - began < 15
    assert set(tasks.ran.values()) == {1}


async def test_a_worker_can_be_stopped_while_the_database_is_away(
    breakable: Breakable, tries: Tries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "FAREWELL_SECONDS", 0.5)
    monkeypatch.setattr(line, "RETRY_SECONDS", (0.05, 0.1))
    monkeypatch.setattr(queue, "BEAT_SECONDS", 0.1)
    tasks = Tasks()
    async with asyncio.timeout(30), serving(breakable.database, tasks):
        await defer(breakable.database, "held")
        await tasks.seen("held")
        await breakable.stop()
        tasks.go.set()
        await tries.failed(3)
    await breakable.start()
