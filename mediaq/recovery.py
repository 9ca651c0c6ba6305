"""Signs of life and the sweep: what a lost worker leaves behind goes on elsewhere."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import structlog

from mediaq import db

if TYPE_CHECKING:
    from collections.abc import Iterable

ALIVE_SECONDS = 30.0
"""How long ago a worker that is said to run was seen at most."""

MAX_LOST = 2
"""Workers that a request may outlive: the one that ends this many is not tried again."""

LOOKED_AT = 10_000
"""Pending requests that one round looks at for a missing job."""

# A time as the database writes it: it knows more of them than Python does.
_BEGINNING = ("-infinity", UUID(int=0))

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Identity:
    """A worker as the others see it."""

    worker_id: int
    host: str
    pid: int

    def __str__(self) -> str:
        """``host:pid``."""
        return f"{self.host}:{self.pid}"


async def register(pool: db.Pool) -> Identity:
    """Enter this process among the workers."""
    host, pid = socket.gethostname(), os.getpid()
    worker_id: int = await pool.fetchval(db.queries()["register_worker"], host, pid)
    return Identity(worker_id, host, pid)


async def unregister(pool: db.Pool, me: Identity) -> None:
    """Leave; whatever this worker still holds counts as lost at once."""
    await pool.execute(db.queries()["unregister_worker"], me.worker_id)


async def workers_alive(pool: db.Pool) -> int:
    """Count the workers that gave a sign of life lately."""
    count: int = await pool.fetchval(db.queries()["workers_alive"], ALIVE_SECONDS)
    return count


async def over(pool: db.Pool, attempts: Mapping[UUID, int]) -> set[UUID]:
    """Say which of these attempts no longer hold their request: cancelled, deleted, taken over."""
    rows = await pool.fetch(db.queries()["over"], list(attempts), list(attempts.values()))
    return {row["request_id"] for row in rows}


async def give_back_unheld(
    pool: db.Pool, me: Identity, held: Iterable[UUID], seconds: float
) -> list[UUID]:
    """Give back what this worker claimed ``seconds`` ago or earlier and does not hold."""
    rows = await pool.fetch(
        db.queries()["give_back_unheld"], me.worker_id, list(held), float(seconds)
    )
    return [row["request_id"] for row in rows]


@dataclass(slots=True)
class Keeper:
    """Keeps one worker known and clears up after others; any number may do so at once.

    ``heartbeat`` is how often it gives a sign of life and sweeps, ``stalled_after`` how long
    without one makes a worker dead, in seconds.
    """

    pool: db.Pool
    me: Identity
    heartbeat: float
    stalled_after: float
    _beaten: float = -math.inf
    _sweep_from: float = 0.0
    _place: tuple[str, UUID] = _BEGINNING

    async def run(self, check: Callable[[], Awaitable[None]]) -> None:
        """Beat, ``check`` one's own attempts and sweep, for ever, whatever the database does."""
        while True:
            try:
                await self.beat()
                await check()
                await self.sweep()
            except (*db.CONNECTION_ERRORS, asyncpg.PostgresError, TimeoutError) as error:
                log.warning("keeper.delayed", error=str(error) or repr(error))
            await asyncio.sleep(self.heartbeat)

    async def beat(self) -> None:
        """Give a sign of life."""
        me, now = self.me, time.monotonic()
        await self.pool.execute(db.queries()["keep_worker"], me.worker_id, me.host, me.pid)
        if now - self._beaten > 2 * self.heartbeat:
            # The start, or the database was away, or this process stood still. The others may have
            # been kept from beating as well: give them the time to before any counts as dead.
            self._sweep_from = now + min(self.stalled_after, 2 * self.heartbeat)
        self._beaten = now

    async def sweep(self) -> None:
        """Put back what dead workers held, and queue what lost its job."""
        if time.monotonic() < self._sweep_from:
            return
        queries = db.queries()
        for row in await self.pool.fetch(queries["sweep_requests"], self.stalled_after, MAX_LOST):
            log.warning(
                "request.recovered",
                request_id=str(row["request_id"]),
                attempt=row["attempt"],
                status=row["status"],
                lost_worker=row["worker"],
            )
        jobs = await self.pool.fetch(queries["sweep_jobs"], self.stalled_after)
        if jobs:
            log.warning("jobs.recovered", jobs=[row["id"] for row in jobs])
        await self.pool.execute(queries["let_in"])
        await self._requeue_forgotten()

    async def _requeue_forgotten(self) -> None:
        row = await self.pool.fetchrow(db.queries()["requeue_forgotten"], *self._place, LOOKED_AT)
        if row is None:
            self._place = _BEGINNING
            return
        self._place = (row["created_at"], row["request_id"])
        if row["requeued"]:
            log.warning("requests.requeued", number=row["requeued"])


async def unreferenced(pool: db.Pool, folders: Iterable[tuple[UUID, str]]) -> list[str]:
    """Say which of these folders, each of one request, no row of ``media_files`` points into."""
    given = list(folders)
    rows = await pool.fetch(
        db.queries()["unreferenced"], [item[0] for item in given], [item[1] for item in given]
    )
    return [row["folder"] for row in rows]


async def unused_copies(pool: db.Pool, request_ids: Iterable[UUID]) -> list[UUID]:
    """Say whose copies of these are needed by no request any more, nor by another one."""
    rows = await pool.fetch(db.queries()["unused_copies"], list(request_ids))
    return [row["id"] for row in rows]
