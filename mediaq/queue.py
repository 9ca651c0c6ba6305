"""Everything that touches Procrastinate: its connector on asyncpg, its app, its worker."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, LiteralString

import asyncpg
import procrastinate
import structlog
from procrastinate import connector, exceptions
from procrastinate.sql import queries as engine_queries

from mediaq import db
from mediaq.listen import listen
from mediaq.settings import Database

log = structlog.get_logger()

Task = Callable[..., Awaitable[None]]
"""What a job calls, with the arguments that the database queued, as JSON has them."""

SEARCH_PATH = "mediaq, pg_temp"
"""Procrastinate names its tables without a schema; they live in mediaq's."""

POLL_SECONDS = 5.0
RETRY_DELAYS = procrastinate.RetryStrategy(max_attempts=20, exponential_wait=2)
"""For an attempt whose verdict could not be recorded, as when the database went away."""

# Procrastinate marks parameters as %(name)s.
_PARAMETER = re.compile(r"%\((\w+)\)s")
_WAKE = '{"type": "job_inserted", "job_id": 0}'


async def serve(
    database: Database,
    pool: db.Pool,
    tasks: Mapping[str, Task],
    *,
    queues: Sequence[str],
    concurrency: int,
    drain_timeout: float,
    heartbeat: float,
    stop: asyncio.Event,
) -> None:
    """Run jobs of the named ``tasks`` until ``stop`` is set.

    ``pool`` must have :data:`SEARCH_PATH`.

    Then nothing more is claimed, running jobs have ``drain_timeout`` seconds to end, and those
    that still run are cancelled.
    """
    app = procrastinate.App(connector=AsyncpgConnector(database, pool))

    for name, run in tasks.items():
        app.task(name=name, retry=RETRY_DELAYS)(run)

    async with app.open_async():
        worker = asyncio.create_task(
            app.run_worker_async(
                queues=queues or None,  # type: ignore[arg-type] # the signature forgets None, which means all
                name="mediaq",
                concurrency=concurrency,
                fetch_job_polling_interval=POLL_SECONDS,
                shutdown_graceful_timeout=drain_timeout,
                update_heartbeat_interval=heartbeat,
                # The request row and its events tell the story; finished jobs would only pile up.
                delete_jobs="successful",
                install_signal_handlers=False,
            )
        )
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({worker, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            ended_alone = worker.done()
            worker.cancel()
            with suppress(asyncio.CancelledError):
                await worker
        if ended_alone and not stop.is_set():
            # Procrastinate returns as if asked to when one of its side tasks failed.
            msg = "the queue's worker ended without being asked to"
            raise RuntimeError(msg)


class AsyncpgConnector(connector.BaseAsyncConnector):
    """Procrastinate's door to the database, on the process's one pool and driver.

    Procrastinate brings a connector on psycopg; this one prepares statements once, notices a
    dead listening connection and wakes the worker for bells it may have missed.
    """

    def __init__(self, database: Database, pool: db.Pool) -> None:
        self._database = database
        self._pool = pool
        self._fetching = 0
        self._missed = False
        self._wake: Callable[[], None] = lambda: None

    def get_sync_connector(self) -> connector.BaseConnector:
        """Nothing here runs synchronously."""
        return self

    async def open_async(self, pool: Any | None = None) -> None:  # noqa: ANN401 - Procrastinate's signature
        """Do nothing: the pool is opened and closed by whoever lent it."""

    async def close_async(self) -> None:
        """Do nothing, see :meth:`open_async`."""

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        """Run a query whose rows do not matter."""
        await self._fetch(query, arguments)

    async def execute_query_one_async(
        self, query: LiteralString, **arguments: Any
    ) -> dict[str, Any]:
        """Run a query and return its one row."""
        fetch_job = query == engine_queries["fetch_job"]
        self._fetching += fetch_job
        try:
            rows = await self._fetch(query, arguments)
        finally:
            self._fetching -= fetch_job
            if fetch_job and self._missed:
                # Procrastinate clears its new-job event right after a fetch, and with it a bell
                # that rang meanwhile for a job the fetch did not see: ring again after that.
                self._missed = False
                asyncio.get_running_loop().call_soon(self._wake)
        if not rows:
            raise exceptions.NoResult
        return dict(rows[0])

    async def execute_query_all_async(
        self, query: LiteralString, **arguments: Any
    ) -> list[dict[str, Any]]:
        """Run a query and return all its rows."""
        return [dict(row) for row in await self._fetch(query, arguments)]

    async def listen_notify(
        self, on_notification: connector.Notify, channels: Iterable[str]
    ) -> None:
        """Hand every bell to Procrastinate, and one more after each (re)connect."""
        names = list(channels)
        bells: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

        def ring(channel: str, payload: str) -> None:
            self._missed = self._missed or self._fetching > 0
            bells.put_nowait((channel, payload))

        self._wake = lambda: bells.put_nowait((names[0], _WAKE))

        async def hand_over() -> None:
            while True:
                channel, payload = await bells.get()
                try:
                    await on_notification(channel=channel, payload=payload)
                except (ValueError, TypeError, LookupError):
                    # Whoever can log in can ring; Procrastinate would stop listening for good.
                    log.warning("bell.unreadable", channel=channel, payload=payload[:100])

        async with asyncio.TaskGroup() as group:
            group.create_task(hand_over())
            group.create_task(
                listen(
                    self._database,
                    names,
                    on_bell=ring,
                    on_connect=self._wake,
                    name="mediaq worker listen",
                )
            )

    async def _fetch(self, query: str, arguments: dict[str, Any]) -> list[asyncpg.Record]:
        names = list(dict.fromkeys(_PARAMETER.findall(query)))
        sql = _PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", query)
        try:
            async with self._pool.acquire() as connection:
                statement = await connection.prepare(sql.replace("%%", "%"))
                # The server infers text for a number that is concatenated to a unit.
                values = [
                    str(arguments[name])
                    if kind.name == "text" and arguments[name] is not None
                    else arguments[name]
                    for name, kind in zip(names, statement.get_parameters(), strict=True)
                ]
                rows: list[asyncpg.Record] = await statement.fetch(*values)
                return rows
        except asyncpg.UniqueViolationError as error:
            raise exceptions.UniqueViolation(
                constraint_name=error.constraint_name, queueing_lock=None
            ) from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise exceptions.ConnectorException(str(error)) from error
