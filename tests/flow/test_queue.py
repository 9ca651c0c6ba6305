"""The queue by itself: Procrastinate on our connector, claims, limits, bells, supervision."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import procrastinate
import pytest
from procrastinate import exceptions, jobs
from structlog.testing import capture_logs

from mediaq import db, queue
from mediaq.queue.connector import AsyncpgConnector
from mediaq.queue.jobs import Jobs
from mediaq.queue.line import Line
from mediaq.settings import Database

HOURS = 7200.0


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[db.Pool]:
    """A pool as the queue wants it."""
    async with db.pool(
        database, name="test", size=1, overflow=20, search_path=queue.SEARCH_PATH
    ) as opened:
        yield opened


@pytest.fixture
def connector(database: Database, engine: db.Pool) -> AsyncpgConnector:
    return AsyncpgConnector(database, engine)


@pytest.fixture
def app(connector: AsyncpgConnector) -> procrastinate.App:
    return procrastinate.App(connector=connector)


@pytest.fixture(autouse=True)
def _no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not rung for hangs."""
    monkeypatch.setattr(queue, "POLL_SECONDS", HOURS)


Defer = Callable[..., Awaitable[int]]


@pytest.fixture
def defer(app: procrastinate.App) -> Defer:
    async def deferred(name: str = "task", *, queue: str = "video", **options: Any) -> int:
        arguments = options.pop("arguments", {})
        return await app.configure_task(name, queue=queue, **options).defer_async(**arguments)

    return deferred


@asynccontextmanager
async def serving(
    database: Database,
    pool: db.Pool,
    tasks: dict[str, queue.Task],
    *,
    concurrency: int = 2,
    queues: tuple[str, ...] = (),
) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    task = asyncio.create_task(
        queue.serve(
            database,
            pool,
            tasks,
            queues=queues,
            concurrency=concurrency,
            drain_timeout=5,
            life=queue.Life(queue.BEAT_SECONDS),
            stop=stop,
        )
    )
    try:
        yield stop
    finally:
        stop.set()
        await task


async def worker_id(pool: db.Pool) -> int:
    number: int = await pool.fetchval(
        "INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id"
    )
    return number


async def claim(pool: db.Pool, worker: int, slots: int, *queues: str) -> list[int]:
    rows = await pool.fetch(db.queries()["claim_jobs"], list(queues) or None, worker, slots)
    return [row["id"] for row in sorted(rows, key=lambda row: (-row["priority"], row["id"]))]


async def states(pool: db.Pool) -> dict[str, int]:
    rows = await pool.fetch("SELECT status, count(*) FROM procrastinate_jobs GROUP BY status")
    return {row["status"]: row["count"] for row in rows}


# What Procrastinate expects of a connector.


async def test_rows_come_back_as_dictionaries_with_json_as_values(
    connector: AsyncpgConnector,
) -> None:
    query = "SELECT %(a)s::jsonb AS a, %(b)s::int AS b, '100%%' AS c"
    assert await connector.execute_query_one_async(query, a={"x": [1, None]}, b=2) == {
        "a": {"x": [1, None]},
        "b": 2,
        "c": "100%",
    }
    assert await connector.execute_query_all_async("SELECT 1 AS one WHERE false") == []
    await connector.execute_query_async("SELECT %(a)s::int + %(a)s::int", a=1)


async def test_no_row_where_one_is_expected_is_told(connector: AsyncpgConnector) -> None:
    with pytest.raises(exceptions.NoResult):
        await connector.execute_query_one_async("SELECT 1 WHERE false")


async def test_what_the_database_refuses_is_told_in_procrastinates_words(
    connector: AsyncpgConnector,
) -> None:
    with pytest.raises(exceptions.ConnectorException, match="does not exist"):
        await connector.execute_query_async("SELECT nothing FROM nowhere")


async def test_a_queueing_lock_lets_one_job_wait(defer: Defer) -> None:
    lock = "with (brackets)=(and) more"
    await defer(queueing_lock=lock)
    with pytest.raises(exceptions.AlreadyEnqueued, match=r"with \(brackets\)=\(and\) more"):
        await defer(queueing_lock=lock)


async def test_a_unique_violation_of_another_kind_names_its_constraint(
    connector: AsyncpgConnector, engine: db.Pool
) -> None:
    await engine.execute("CREATE TABLE once (x integer CONSTRAINT only_once UNIQUE)")
    await connector.execute_query_async("INSERT INTO once VALUES (1)")
    with pytest.raises(exceptions.UniqueViolation) as caught:
        await connector.execute_query_async("INSERT INTO once VALUES (1)")
    assert (caught.value.constraint_name, caught.value.queueing_lock) == ("only_once", None)


async def test_a_job_is_deferred_in_the_callers_transaction(
    app: procrastinate.App, engine: db.Pool
) -> None:
    async with engine.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        deferrer = app.configure_task("task", connection=connection)
        assert await deferrer.defer_async(x=1) > 0
        await transaction.rollback()
    assert await states(engine) == {}


async def test_the_managers_questions_are_answered(
    app: procrastinate.App, defer: Defer, engine: db.Pool
) -> None:
    number = await defer(arguments={"a": "ä"}, lock="l", priority=3)
    manager = app.job_manager
    assert await manager.check_connection_async()
    (job,) = await manager.list_jobs_async(queue="video")
    assert (job.id, job.task_kwargs, job.priority) == (number, {"a": "ä"}, 3)
    assert [row["name"] for row in await manager.list_queues_async()] == ["video"]
    (lock,) = await manager.list_locks_async()
    assert lock["todo"] == 1
    assert list(await manager.get_stalled_jobs(seconds_since_heartbeat=0.5)) == []
    await manager.delete_old_jobs(nb_hours=1)
    worker = await manager.register_worker()
    assert await claim(engine, worker, 1) == [number]
    await manager.update_heartbeat(worker)
    await engine.execute(
        "UPDATE procrastinate_workers SET last_heartbeat = now() - '1 h'::interval"
    )
    assert [job.id for job in await manager.get_stalled_jobs()] == [number]
    assert await manager.prune_stalled_workers(30) == [worker]
    await manager.finish_job_by_id_async(number, jobs.Status.FAILED, delete_job=False)
    assert await manager.get_job_status_async(number) == jobs.Status.FAILED


async def test_bells_are_heard_and_aborts_are_not_merged_with_them(
    connector: AsyncpgConnector, engine: db.Pool
) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def on_notification(*, channel: str, payload: str) -> None:
        heard.put_nowait(payload)

    task = asyncio.create_task(connector.listen_notify(on_notification, ["one", "two"]))
    # The first one is rung when the connection stands.
    assert "job_inserted" in await heard.get()
    async with engine.acquire() as connection, connection.transaction():
        for number in range(100):
            await connection.execute(
                "SELECT pg_notify('one', $1)", f'{{"type": "job_inserted", "job_id": {number}}}'
            )
        await connection.execute("SELECT pg_notify('two', 'abort')")
    told = []
    while "abort" not in told:
        told.append(await heard.get())
    assert len(told) < 100
    task.cancel()
    await asyncio.wait({task})


# The claim.


async def test_no_job_is_claimed_twice_and_none_is_left(engine: db.Pool, defer: Defer) -> None:
    for number in range(300):
        await defer(queue=("video", "audio", "auto")[number % 3])

    async def take() -> list[int]:
        worker, mine = await worker_id(engine), []
        while got := await claim(engine, worker, 7):
            mine += got
        return mine

    taken = [
        number for mine in await asyncio.gather(*(take() for _ in range(8))) for number in mine
    ]
    assert len(taken) == len(set(taken)) == 300
    assert await states(engine) == {"doing": 300}


async def test_a_claim_looks_past_jobs_that_others_hold(engine: db.Pool, defer: Defer) -> None:
    numbers = [await defer(queue=("video", "audio")[number % 2]) for number in range(30)]
    async with engine.acquire() as other, other.transaction():
        await other.execute("SELECT FROM procrastinate_jobs WHERE id < $1 FOR UPDATE", numbers[25])
        assert await claim(engine, await worker_id(engine), 3) == numbers[25:28]


async def test_a_claim_locks_nothing_that_it_does_not_take(engine: db.Pool, defer: Defer) -> None:
    numbers = [await defer(queue=("video", "audio")[number % 2]) for number in range(6)]
    worker = await worker_id(engine)
    async with engine.acquire() as other, other.transaction():
        await other.fetch(db.queries()["claim_jobs"], None, worker, 2)
        assert await claim(engine, worker, 10) == numbers[2:]


async def test_the_highest_priority_of_all_queues_goes_first_then_each_queue_in_turn(
    engine: db.Pool, defer: Defer
) -> None:
    low = await defer(priority=-5)
    first, second = await defer(queue="audio"), await defer()
    for _ in range(5):
        await defer(queue="audio")
    high = await defer(queue="audio", priority=5)
    worker = await worker_id(engine)
    assert await claim(engine, worker, 3) == [high, first, second]
    assert len(await claim(engine, worker, 5)) == 5
    assert await claim(engine, worker, 3) == [low]


async def test_a_worker_of_some_queues_leaves_the_others(engine: db.Pool, defer: Defer) -> None:
    await defer(queue="audio", priority=9)
    video = await defer()
    assert await claim(engine, await worker_id(engine), 5, "video", "document") == [video]


async def test_a_job_for_later_waits_and_then_goes_by_its_priority(
    engine: db.Pool, defer: Defer
) -> None:
    plain = await defer()
    later = await defer(schedule_in={"hours": 1}, priority=9)
    worker = await worker_id(engine)
    assert await claim(engine, worker, 5, "audio") == []
    await engine.execute("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE id = $1", later)
    assert await claim(engine, worker, 5) == [later, plain]


async def test_jobs_of_one_lock_run_one_after_the_other(engine: db.Pool, defer: Defer) -> None:
    first, second = await defer(lock="same"), await defer(lock="same")
    free = await defer(lock="another")
    worker = await worker_id(engine)
    assert await claim(engine, worker, 5) == [first, free]
    await engine.execute(db.queries()["finish_jobs"], worker, [first], [], [])
    assert await claim(engine, worker, 5) == [second]


async def test_another_workers_job_cannot_be_finished(engine: db.Pool, defer: Defer) -> None:
    number = await defer()
    late, now = await worker_id(engine), await worker_id(engine)
    await claim(engine, now, 1)
    await engine.execute(db.queries()["finish_jobs"], late, [number], [], [])
    await engine.execute(db.queries()["finish_jobs"], late, [], [number], ["failed"])
    assert await states(engine) == {"doing": 1}
    await engine.execute(db.queries()["finish_jobs"], now, [], [number], ["failed"])
    assert await states(engine) == {"failed": 1}


@pytest.mark.parametrize("fill", ["pending", "finished", "scheduled", "elsewhere", "locked"])
async def test_a_claim_and_a_finish_read_only_what_they_take(
    engine: db.Pool, defer: Defer, fill: str
) -> None:
    """Planned on an empty table, used on a full one without statistics: a bulk INSERT does that."""
    read = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables"
    queries, worker = db.queries(), await worker_id(engine)
    async with engine.acquire() as connection:
        for _ in range(8):
            (row,) = await claimed_of_one(connection, defer, worker)
            await connection.execute(queries["finish_jobs"], worker, [row], [], [])
        await connection.execute("ALTER TABLE procrastinate_jobs DISABLE TRIGGER USER")
        await connection.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, status, scheduled_at, lock)"
            " SELECT CASE $1 WHEN 'elsewhere' THEN 'other' ELSE 'video' END, 'task',"
            "        CASE $1 WHEN 'finished' THEN 'succeeded' ELSE 'todo' END"
            "            ::procrastinate_job_status,"
            "        CASE $1 WHEN 'scheduled' THEN now() + '1 day'::interval END,"
            "        CASE $1 WHEN 'locked' THEN 'lock ' || n END"
            "   FROM generate_series(1, 20000) AS n",
            fill,
        )
        await connection.execute("ALTER TABLE procrastinate_jobs ENABLE TRIGGER USER")
        async with connection.transaction():
            before = await connection.fetchval(read)
            (row,) = await claimed_of_one(connection, defer, worker)
            await connection.execute(queries["finish_jobs"], worker, [row], [], [])
            assert await connection.fetchval(read) - before < 100


async def claimed_of_one(connection: db.Connection, defer: Defer, worker: int) -> list[int]:
    await defer(priority=1)
    rows = await connection.fetch(db.queries()["claim_jobs"], ["video"], worker, 1)
    return [row["id"] for row in rows]


# The worker.


async def test_a_worker_holds_no_more_jobs_than_it_runs(
    database: Database, engine: db.Pool, defer: Defer
) -> None:
    for _ in range(10):
        await defer()
    go, three = asyncio.Event(), asyncio.Event()
    running = most = 0

    async def task() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            three.set()
        await go.wait()
        running -= 1

    async with serving(database, engine, {"task": task}, concurrency=3) as stop:
        await three.wait()
        assert await states(engine) == {"doing": 3, "todo": 7}
        stop.set()
        go.set()
    assert most == 3
    assert (await states(engine)).get("doing") is None


async def test_what_was_claimed_and_not_started_is_given_back(
    database: Database, engine: db.Pool, defer: Defer
) -> None:
    for _ in range(5):
        await defer()
    held = Jobs(Line(engine, asyncio.Event()), 4)
    row = await held.claim(None, await worker_id(engine))
    assert row["id"] is not None
    assert await states(engine) == {"doing": 4, "todo": 1}
    await held.give_back()
    assert await states(engine) == {"doing": 1, "todo": 4}
    assert held.one_ready() is None


async def test_a_row_of_the_worker_that_was_removed_comes_back_with_its_jobs(
    engine: db.Pool, defer: Defer
) -> None:
    await defer()
    held, worker = Jobs(Line(engine, asyncio.Event()), 2), await worker_id(engine)
    row = await held.claim(None, worker)
    await engine.execute("DELETE FROM procrastinate_workers")
    await defer()
    # The claim, too, puts it back: a job refers to it.
    assert (await held.claim(None, worker))["id"] is not None
    await held.beat(worker)
    owners = await engine.fetch("SELECT DISTINCT worker_id FROM procrastinate_jobs")
    assert [owner["worker_id"] for owner in owners] == [worker]
    await held.finish(row["id"], "succeeded", delete=True)
    assert await states(engine) == {"doing": 1}


async def test_a_job_that_fails_is_queued_again_and_frees_its_slot(
    database: Database, engine: db.Pool, defer: Defer
) -> None:
    done = asyncio.Event()

    async def fails() -> None:
        raise ValueError

    async def task() -> None:
        done.set()

    await defer("fails", priority=9)
    await defer()
    async with serving(database, engine, {"task": task, "fails": fails}, concurrency=1):
        await done.wait()
    assert await states(engine) == {"todo": 1}


async def test_none_of_a_thousand_inserts_into_an_idle_worker_waits_for_a_poll(
    database: Database, engine: db.Pool, defer: Defer
) -> None:
    """How long the longest one waits is measured by ``mediaq bench latency``."""
    started: asyncio.Queue[None] = asyncio.Queue()

    async def task() -> None:
        started.put_nowait(None)

    async with serving(database, engine, {"task": task}), asyncio.timeout(90):
        for _ in range(1000):
            await defer()
            await started.get()


async def test_a_paused_queue_rests_until_it_is_resumed_in_sql(
    database: Database, engine: db.Pool, defer: Defer
) -> None:
    await engine.execute("INSERT INTO mediaq.queues (queue, paused) VALUES ('video', true)")
    ran: asyncio.Queue[str] = asyncio.Queue()

    async def task(name: str) -> None:
        ran.put_nowait(name)

    async with serving(database, engine, {"task": task}):
        await defer(arguments={"name": "video"})
        await defer(queue="audio", arguments={"name": "audio"})
        assert await ran.get() == "audio"
        assert await states(engine) == {"todo": 1} or await states(engine) == {
            "todo": 1,
            "doing": 1,
        }
        await engine.execute("UPDATE mediaq.queues SET paused = false")
        async with asyncio.timeout(10):
            assert await ran.get() == "video"


async def test_a_queues_limit_holds_over_all_workers_and_none_waits_for_a_poll(
    database: Database, engine: db.Pool, defer: Defer
) -> None:
    await engine.execute("INSERT INTO mediaq.queues (queue, max_running) VALUES ('video', 2)")
    total = 60
    for _ in range(total):
        await defer()
    running = most = ended = 0
    pair, done = asyncio.Barrier(2), asyncio.Event()

    async def task() -> None:
        nonlocal running, most, ended
        running += 1
        most = max(most, running)
        await pair.wait()
        running -= 1
        ended += 1
        if ended == total:
            done.set()

    async with (
        serving(database, engine, {"task": task}, concurrency=5),
        serving(database, engine, {"task": task}, concurrency=5),
        asyncio.timeout(30),
    ):
        await done.wait()
    assert most == 2


async def test_a_limit_of_nothing_stops_and_no_limit_goes_on(
    database: Database, engine: db.Pool, defer: Defer
) -> None:
    await engine.execute("INSERT INTO mediaq.queues (queue, max_running) VALUES ('video', 0)")
    await defer()
    assert await claim(engine, await worker_id(engine), 5) == []
    done = asyncio.Event()

    async def task() -> None:
        done.set()

    async with serving(database, engine, {"task": task}), asyncio.timeout(10):
        await engine.execute("DELETE FROM mediaq.queues")
        await done.wait()


async def test_a_worker_that_ends_by_itself_is_started_again_and_says_why(
    database: Database, engine: db.Pool, defer: Defer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(queue, "RESTART_SECONDS", (0.01, 0.1))
    real, recovered = Jobs.beat, asyncio.Event()
    left = 2

    async def beat(self: Jobs, worker: int) -> None:
        nonlocal left
        if left:
            left -= 1
            msg = "the disk burns"
            raise asyncpg.DataError(msg)
        await real(self, worker)
        recovered.set()

    monkeypatch.setattr(Jobs, "beat", beat)
    done = asyncio.Event()

    async def task() -> None:
        done.set()

    with capture_logs() as logs:
        async with serving(database, engine, {"task": task}), asyncio.timeout(30):
            await recovered.wait()
            await defer()
            await done.wait()
    ends = [entry for entry in logs if entry["event"] == "queue.worker_ended"]
    assert len(ends) == 2
    assert "the disk burns" in ends[0]["why"]


async def test_a_start_without_tables_is_an_error_and_not_a_loop(
    empty_database: Database,
) -> None:
    async with db.pool(empty_database, name="test", size=1) as pool:
        with pytest.raises(asyncpg.UndefinedFunctionError):
            await queue.serve(
                empty_database,
                pool,
                {},
                queues=(),
                concurrency=1,
                drain_timeout=1,
                life=queue.Life(queue.BEAT_SECONDS),
                stop=asyncio.Event(),
            )


async def test_systemd_hears_ready_and_alive_of_a_worker_that_claims(
    database: Database,
    engine: db.Pool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hearing:
        hearing.bind(str(address))
        hearing.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        monkeypatch.setenv("WATCHDOG_USEC", "60000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        loop = asyncio.get_running_loop()
        async with serving(database, engine, {}), asyncio.timeout(10):
            assert await loop.sock_recv(hearing, 100) == b"READY=1"
            assert await loop.sock_recv(hearing, 100) == b"WATCHDOG=1"
        told = b""
        while told != b"STOPPING=1":
            told = await loop.sock_recv(hearing, 100)
