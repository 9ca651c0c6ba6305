"""How fast waiting jobs are worked off: ours, stock Procrastinate, PgQueuer, and whole requests."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import procrastinate

from mediaq import db, queue, recovery
from mediaq.bench.scratch import STOCK, sql
from mediaq.kit import Branch
from mediaq.media.local import LocalMedia
from mediaq.settings import Database, Settings
from mediaq.storage.local import LocalStorage
from mediaq.worker import ANALYSE, Worker

TASK = "bench.noop"


async def ours(database: Database, jobs: int, concurrency: int) -> float:
    """Jobs per second through our connector, from the start of the worker to its end."""
    async with _pool(database) as pool:
        await pool.execute(sql()["clear"])
        await pool.execute(sql()["defer_noops"], "video", jobs)
        return await _served(database, pool, TASK, None, jobs, concurrency)


async def requests(database: Database, count: int, concurrency: int) -> float:
    """Requests per second, each with its rows and events, on a branch with no steps."""
    with tempfile.TemporaryDirectory(prefix="mediaq-bench-") as folder:
        source = Path(folder) / "empty.mp4"
        source.touch()
        storage = LocalStorage(Path(folder) / "storage")
        storage.prepare()
        read = Settings(home=Path(folder), media_roots=(Path(folder),))
        async with _pool(database) as pool:
            await pool.execute(sql()["clear"])
            await pool.execute(sql()["insert_requests"], str(source), count)
            nothing = Branch("video", {})
            me = await recovery.register(pool)
            worker = Worker(read, pool, storage, LocalMedia(60), me, branch_of=lambda _: nothing)
            rate = await _served(database, pool, ANALYSE, worker.attempt, count, concurrency)
            completed = await pool.fetchval(sql()["completed"])
            if completed != count:
                msg = f"{completed} of {count} requests were completed"
                raise RuntimeError(msg)
            return rate


async def stock(database: Database, jobs: int, concurrency: int) -> float:
    """Jobs per second of Procrastinate as it comes: its connector on psycopg, its schema."""
    dsn = database.dsn.get_secret_value()
    connection = await asyncpg.connect(dsn, server_settings={"search_path": STOCK})
    await connection.execute(sql()["clear_stock"])
    await connection.execute(sql()["defer_noops"], "video", jobs)
    await connection.close()
    app = procrastinate.App(
        connector=procrastinate.PsycopgConnector(
            conninfo=dsn, kwargs={"options": f"-c search_path={STOCK}"}
        )
    )

    async def noop() -> None:
        pass

    app.task(name=TASK)(noop)
    async with app.open_async():
        began = time.perf_counter()
        await app.run_worker_async(
            concurrency=concurrency,
            wait=False,
            delete_jobs="successful",
            install_signal_handlers=False,
        )
        return jobs / (time.perf_counter() - began)


async def pgqueuer(database: Database, jobs: int, batch: int) -> float | None:
    """Jobs per second of PgQueuer with batches of that size, None where it is not installed."""
    try:
        package = importlib.import_module("pgqueuer")
    except ImportError:
        return None
    driver_of = importlib.import_module("pgqueuer.db").AsyncpgDriver
    queries_of = importlib.import_module("pgqueuer.queries").Queries
    mode = importlib.import_module("pgqueuer.types").QueueExecutionMode.drain
    connection = await asyncpg.connect(database.dsn.get_secret_value())
    try:
        driver = driver_of(connection)
        queries = queries_of(driver)
        with contextlib.suppress(asyncpg.PostgresError):
            await queries.uninstall()
        await queries.install()
        await queries.enqueue(["noop"] * jobs, [None] * jobs, [0] * jobs)
        runner = package.PgQueuer(driver)

        async def noop(_job: object) -> None:
            pass

        runner.entrypoint("noop")(noop)
        began = time.perf_counter()
        await runner.qm.run(batch_size=batch, mode=mode)
        return jobs / (time.perf_counter() - began)
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def _pool(database: Database) -> AsyncIterator[db.Pool]:
    async with db.pool(
        database, name="mediaq bench", size=5, overflow=10, search_path=queue.SEARCH_PATH
    ) as pool:
        yield pool


async def _served(
    database: Database,
    pool: db.Pool,
    name: str,
    task: Callable[..., Awaitable[None]] | None,
    jobs: int,
    concurrency: int,
) -> float:
    """Serve until so many jobs of that name have run, and return how many that was per second."""
    stop = asyncio.Event()
    left = jobs

    async def counted(**arguments: str) -> None:
        nonlocal left
        if task is not None:
            await task(**arguments)
        left -= 1
        if not left:
            stop.set()

    began = time.perf_counter()
    await queue.serve(
        database,
        pool,
        {name: counted},
        queues=("video",),
        concurrency=concurrency,
        drain_timeout=60,
        life=queue.Life(),
        stop=stop,
    )
    return jobs / (time.perf_counter() - began)
