"""Procrastinate's door to the database, on the process's one pool and driver."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import structlog
from procrastinate import connector, exceptions
from procrastinate.sql import queries as engine

from mediaq import db
from mediaq.listen import listen
from mediaq.queue.clock import Clock
from mediaq.queue.jobs import NOTHING, Jobs
from mediaq.queue.line import Line
from mediaq.queue.statements import DRIVER_ERRORS, run, translated
from mediaq.settings import Database

_WAKE = '{"type": "job_inserted", "job_id": 0}'


log = structlog.get_logger()


class AsyncpgConnector(connector.BaseAsyncConnector):
    """What Procrastinate's own connector on psycopg does, and what it lacks.

    Statements are prepared once, outages of the database are ridden out, and the worker is woken
    for bells that it may have missed. It recognises the queries that run for every job, claim and
    finish, and does them for many jobs at once. (psycopg itself is needed for Procrastinate's
    command line alone, which imports it.)
    """

    def __init__(
        self,
        database: Database,
        pool: db.Pool,
        *,
        slots: int = 1,
        stop: asyncio.Event | None = None,
        poll_seconds: float = 0.0,
    ) -> None:
        self._database = database
        self._pool = pool
        self._line = Line(pool, stop or asyncio.Event())
        self.jobs = Jobs(self._line, slots)
        self.beaten_at = time.monotonic()
        self.error: Exception | None = None
        self.broken = asyncio.Event()
        self._fetching = False
        self._missed = False
        self._wake: Callable[[], None] = lambda: None
        self._clock = Clock(self.jobs, poll_seconds)

    def get_sync_connector(self) -> connector.BaseConnector:
        """Nothing here runs synchronously."""
        return self

    async def open_async(self, pool: Any | None = None) -> None:  # noqa: ANN401 - Procrastinate's signature
        """Do nothing: the pool is opened and closed by whoever lent it."""

    async def close_async(self) -> None:
        """Stop looking ahead; for the pool see :meth:`open_async`."""
        self._clock.stop()

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        """Run a query whose rows do not matter."""
        if query == engine["finish_job"]:
            with self._told():
                await self.jobs.finish(
                    arguments["job_id"], arguments["status"], delete=arguments["delete_job"]
                )
        elif query == engine["update_heartbeat"]:
            with self._vital(), self._told():
                await self.jobs.beat(arguments["worker_id"])
            self.beaten_at = time.monotonic()
        elif query == engine["retry_job"]:
            try:
                await self.execute_query_all_async(query, **arguments)
            finally:
                self.jobs.release(arguments["job_id"])
        else:
            if query == engine["unregister_worker"]:
                with self._told():
                    await self.jobs.give_back()
            await self.execute_query_all_async(query, **arguments)

    async def execute_query_one_async(
        self, query: LiteralString, **arguments: Any
    ) -> dict[str, Any]:
        """Run a query and return its one row."""
        if query == engine["fetch_job"]:
            return self.jobs.one_ready() or await self._claim(**arguments)
        rows = await self.execute_query_all_async(query, **arguments)
        if not rows:
            raise exceptions.NoResult
        return rows[0]

    async def execute_query_all_async(
        self, query: LiteralString, **arguments: Any
    ) -> list[dict[str, Any]]:
        """Run a query and return all its rows."""
        with self._told():
            return await self._line.ride(lambda connection: run(connection, query, arguments))

    async def execute_query_one_async_with_connection(
        self,
        connection: Any,  # noqa: ANN401 - Procrastinate's signature
        query: LiteralString,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Run a query in the caller's transaction and return its one row."""
        rows = await self.execute_query_all_async_with_connection(connection, query, **arguments)
        if not rows:
            raise exceptions.NoResult
        return rows[0]

    async def execute_query_all_async_with_connection(
        self,
        connection: Any,  # noqa: ANN401 - Procrastinate's signature
        query: LiteralString,
        **arguments: Any,
    ) -> list[dict[str, Any]]:
        """Run a query in the caller's transaction and return all its rows."""
        with self._told():
            return await run(connection, query, arguments)

    async def listen_notify(
        self, on_notification: connector.Notify, channels: Iterable[str]
    ) -> None:
        """Hand bells to Procrastinate, and one more after each (re)connect.

        The bells of new jobs are alike, so those that wait to be handed over become one.
        """
        names = list(channels)
        bells: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        waiting = False

        def wake() -> None:
            nonlocal waiting
            if not waiting:
                waiting = True
                bells.put_nowait((names[0], _WAKE))

        def ring(channel: str, payload: str) -> None:
            if '"job_inserted"' in payload:
                self._missed = self._missed or self._fetching
                wake()
            else:
                bells.put_nowait((channel, payload))

        self._wake = wake

        first = True

        def connected() -> None:
            nonlocal first
            if not first:
                self._line.suspect()
            first = False
            # A fetch that is under way may have looked before what was not heard came in.
            self._missed = self._missed or self._fetching
            wake()

        async def hand_over() -> None:
            nonlocal waiting
            while True:
                channel, payload = await bells.get()
                if payload is _WAKE:
                    waiting = False
                await _hand_over(on_notification, channel, payload)

        with self._vital():
            async with asyncio.TaskGroup() as group:
                group.create_task(hand_over())
                group.create_task(
                    listen(
                        self._database,
                        names,
                        on_bell=ring,
                        on_connect=connected,
                        name="mediaq worker listen",
                    )
                )

    async def _claim(self, queues: Iterable[str] | None, worker_id: int) -> dict[str, Any]:
        self._fetching = True
        try:
            with self._told():
                row = await self.jobs.claim(queues, worker_id)
        finally:
            self._fetching = False
            if self._missed:
                # Procrastinate clears its new-job event right after a fetch, and with it a bell
                # that rang meanwhile for a job the fetch did not see: ring again after that.
                self._missed = False
                asyncio.get_running_loop().call_soon(self._wake)
        self._clock.stop()
        if row is NOTHING:
            self._clock.start(queues, self._wake)
        return row

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what the driver raises into what Procrastinate expects, and remember it."""
        try:
            yield
        except DRIVER_ERRORS as error:
            self.error = error
            raise translated(error) from error

    @contextmanager
    def _vital(self) -> Iterator[None]:
        """Say that the worker is not well when a side task of Procrastinate's fails here.

        Its monitor of them stops watching when the first one returns, as that of periodic tasks
        does at once where there are none; the worker would go on without heartbeats or bells.
        """
        try:
            yield
        except Exception as error:
            self.error = error
            self.broken.set()
            raise


async def _hand_over(on_notification: connector.Notify, channel: str, payload: str) -> None:
    """Hand over one bell; whoever can log in can ring, and nonsense must not end the listening."""
    try:
        await on_notification(channel=channel, payload=payload)
    except (ValueError, TypeError, LookupError):
        log.warning("bell.unreadable", channel=channel, payload=payload[:100])
