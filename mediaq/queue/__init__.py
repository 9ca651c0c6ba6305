"""Everything that touches Procrastinate: its connector on asyncpg, its app, its worker."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import asyncpg
import procrastinate
import structlog
from procrastinate import exceptions, job_context, worker

from mediaq import db, systemd
from mediaq.queue.connector import AsyncpgConnector
from mediaq.queue.pulse import watch
from mediaq.settings import Database

Task = Callable[..., Awaitable[None]]
"""What a job calls, with the arguments that the database queued, as JSON has them."""

SEARCH_PATH = "mediaq, pg_temp"
"""Procrastinate names its tables without a schema; they live in mediaq's."""

POLL_SECONDS = 5.0
BEAT_SECONDS = 10.0
RETRY_SECONDS = (1, 15)
"""First and longest wait of a job that the database kept from its work; it doubles in between."""

RETRY_DELAYS = procrastinate.RetryStrategy(max_attempts=20, exponential_wait=2)
"""For a job that failed in another way."""

RESTART_SECONDS = (0.5, 30.0)
"""First and longest wait before a worker that ended by itself is started again."""

LASTING_SECONDS = 60.0
"""A worker that ran for so long is started again as if it were the first time."""

HOPELESS = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedColumnError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidPasswordError,
    asyncpg.InvalidAuthorizationSpecificationError,
)
"""What a second start would meet again: a person is needed."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Life:
    """How often a worker gives a sign of life, and when without one it is dead, in seconds."""

    heartbeat: float = BEAT_SECONDS
    stalled_after: float = 3 * BEAT_SECONDS


class Again(procrastinate.BaseRetryStrategy):
    """When a job comes again: soon and for ever while the database keeps it from its work."""

    def get_retry_decision(
        self, *, exception: BaseException, job: procrastinate.jobs.Job
    ) -> procrastinate.RetryDecision | None:
        """Decide by what the job raised."""
        first, longest = RETRY_SECONDS
        if isinstance(exception, asyncpg.LockNotAvailableError):
            # Nothing gets worse by looking again.
            return procrastinate.RetryDecision(retry_in={"seconds": first})
        if isinstance(exception, db.PASSING_ERRORS):
            wait = min(first * 2 ** min(job.attempts, 10), longest)
            return procrastinate.RetryDecision(retry_in={"seconds": wait})
        return RETRY_DELAYS.get_retry_decision(exception=exception, job=job)


async def serve(
    database: Database,
    pool: db.Pool,
    tasks: Mapping[str, Task],
    *,
    queues: Sequence[str],
    concurrency: int,
    drain_timeout: float,
    life: Life,
    stop: asyncio.Event,
) -> None:
    """Run jobs of the named ``tasks`` until ``stop`` is set.

    ``pool`` must have :data:`SEARCH_PATH`.

    Then nothing more is claimed, running jobs have ``drain_timeout`` seconds to end, and those
    that still run are cancelled; when this coroutine is cancelled, they are at once. A worker of
    Procrastinate's that ends for another reason is started again, after a growing wait. Raises
    what the driver raised where that cannot help: the tables or the rights to them are missing.
    """
    wait = RESTART_SECONDS[0]
    while not stop.is_set():
        began = time.monotonic()
        connector = AsyncpgConnector(
            database, pool, slots=concurrency, stop=stop, poll_seconds=POLL_SECONDS
        )
        error: BaseException | None = None
        try:
            await _work(connector, tasks, queues, concurrency, drain_timeout, life, stop)
        except exceptions.ConnectorException as failed:
            error = failed.__cause__ or failed
        except Exception as failed:  # noqa: BLE001 - a supervisor outlives whatever it watches
            error = failed
        # Procrastinate returns as if asked to when one of its side tasks failed.
        error = error or connector.error
        if isinstance(error, HOPELESS):
            raise error
        if stop.is_set():
            return
        if time.monotonic() - began > LASTING_SECONDS:
            wait = RESTART_SECONDS[0]
        log.error("queue.worker_ended", why=repr(error), restart_in=round(wait, 1))
        await _wait(stop, wait * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret
        wait = min(wait * 2, RESTART_SECONDS[1])


async def _work(
    connector: AsyncpgConnector,
    tasks: Mapping[str, Task],
    queues: Sequence[str],
    concurrency: int,
    drain_timeout: float,
    life: Life,
    stop: asyncio.Event,
) -> None:
    """Run one worker of Procrastinate's until it ends or ``stop`` is set."""
    running: set[asyncio.Task[object]] = set()

    async def keep_in_mind(
        call_next: Callable[[], Awaitable[object]],
        _context: job_context.JobContext,
        _worker: worker.Worker,
    ) -> object:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        running.add(task)
        try:
            return await call_next()
        finally:
            running.discard(task)

    app = procrastinate.App(connector=connector)
    for name, run in tasks.items():
        app.task(name=name, retry=Again())(run)

    async with app.open_async():
        main = asyncio.create_task(
            app.run_worker_async(
                queues=queues or None,  # type: ignore[arg-type] # the signature forgets None, which means all
                name="mediaq",
                concurrency=concurrency,
                fetch_job_polling_interval=POLL_SECONDS,
                shutdown_graceful_timeout=drain_timeout,
                # The request row and its events tell the story; finished jobs would only pile up.
                delete_jobs="successful",
                install_signal_handlers=False,
                update_heartbeat_interval=life.heartbeat,
                stalled_worker_timeout=life.stalled_after,
                worker_middleware=[keep_in_mind],
            )
        )
        waits = {asyncio.create_task(event.wait()) for event in (stop, connector.broken)}
        pulse = asyncio.create_task(watch(connector, POLL_SECONDS, life.heartbeat))
        try:
            try:
                await asyncio.wait({main, *waits}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if stop.is_set():
                    systemd.notify("STOPPING=1")
                for task in (*waits, pulse, main):
                    task.cancel()
                await asyncio.wait({main})
        except asyncio.CancelledError:
            # Stop now, perhaps in the middle of a graceful stop: do not wait for what runs.
            for job in running:
                job.cancel()
            await asyncio.wait({main})
            raise
        if not main.cancelled():
            main.result()


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        pass
