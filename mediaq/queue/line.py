"""The way to the database that rides out its troubles: tries again for a while, and tells once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from mediaq import db

T = TypeVar("T")

RIDE_SECONDS = 600.0
"""How long a statement is tried again while the database is away or full."""

FAREWELL_SECONDS = 10.0
"""The same once the worker was asked to stop."""

ANSWER_SECONDS = 10.0
"""After this long without an answer the connection counts as dead."""

RETRY_SECONDS = (0.1, 2.0)
"""First and longest wait before the next try; it doubles in between, with jitter."""

log = structlog.get_logger()


class Line:
    """A pool, and what is known of the database behind it."""

    def __init__(self, pool: db.Pool, stop: asyncio.Event) -> None:
        self._pool = pool
        self._stop = stop
        self._lost: float | None = None
        self._suspicious = False

    def suspect(self) -> None:
        """Take new connections from now on: the listener's, on the same way, was just lost."""
        self._suspicious = True

    async def ride(self, use: Callable[[db.Connection], Awaitable[T]]) -> T:
        """Lend a connection to ``use``, again while the database is in trouble; return its answer.

        ``use`` may run twice although the first time took effect: its answer was lost. Raises
        what the driver raised when the time is up.
        """
        began = time.monotonic()
        wait = RETRY_SECONDS[0]
        while True:
            try:
                answer = await self._try(use)
            except db.PASSING_ERRORS as error:
                await self._note_loss(error)
                spent = time.monotonic() - began
                if spent > (FAREWELL_SECONDS if self._stop.is_set() else RIDE_SECONDS):
                    raise
            else:
                self._note_answer()
                return answer
            await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret
            wait = min(wait * 2, RETRY_SECONDS[1])

    async def _try(self, use: Callable[[db.Connection], Awaitable[T]]) -> T:
        if self._suspicious:
            self._suspicious = False
            await self._pool.expire_connections()
        connection = await self._pool.acquire(timeout=ANSWER_SECONDS)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await use(connection)
        except (TimeoutError, asyncio.CancelledError):
            # Not closed but dropped: a dead peer says no goodbye.
            connection.terminate()
            raise
        finally:
            await self._pool.release(connection)

    async def _note_loss(self, error: Exception) -> None:
        if self._lost is not None:
            return
        self._lost = time.monotonic()
        log.warning("queue.database_lost", error=str(error) or repr(error))
        if isinstance(error, db.CONNECTION_ERRORS):
            # The others went the same way, most likely, and each would cost such a wait.
            await self._pool.expire_connections()

    def _note_answer(self) -> None:
        if self._lost is not None:
            log.info("queue.database_recovered", seconds=round(time.monotonic() - self._lost, 1))
            self._lost = None
