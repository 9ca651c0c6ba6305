"""The jobs that a worker holds: claimed as many at once as it has free slots, ended together."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog

from mediaq import db
from mediaq.queue.line import Line
from mediaq.together import Together

NOTHING: dict[str, Any] = {"id": None}
"""How Procrastinate is told that there is no job."""

PATIENCE = 0.005
"""Longest wait of a claim for finishes under way, and of those for jobs that are being started."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _End:
    """How a job ended."""

    job_id: int
    status: str
    delete: bool


class Jobs:
    """What is claimed in a worker's name, from the claim until its end is written.

    Procrastinate's worker asks for one job whenever a slot is free and ends each by itself. Here
    its first question claims for all free slots, and the next ones are answered from that; ends
    that arrive while some are being written go together in the next statement.
    """

    def __init__(self, line: Line, slots: int) -> None:
        self.worker_id: int | None = None
        self.claimed_at = time.monotonic()
        self._line = line
        self._slots = slots
        self._ready: deque[dict[str, Any]] = deque()
        self._started: set[int] = set()
        self._ends = Together(self._write, ready=self._until_started)
        self._all_started = asyncio.Event()

    @property
    def full(self) -> bool:
        """Whether every slot has a job."""
        return len(self._started) >= self._slots

    def one_ready(self) -> dict[str, Any] | None:
        """Return a job that was claimed already, for Procrastinate to start now."""
        if not self._ready:
            return None
        row = self._ready.popleft()
        self._started.add(row["id"])
        if not self._ready:
            self._all_started.set()
        return row

    async def claim(self, queues: Iterable[str] | None, worker_id: int) -> dict[str, Any]:
        """Claim for all free slots and return the first job, or :data:`NOTHING`.

        Raises what the driver raises when the database stays away.
        """
        self.worker_id = worker_id
        wanted = None if queues is None else list(queues)
        again = False
        # The slots that finishes under way free are then claimed for in the same statement.
        await self._ends.idle(PATIENCE)

        async def use(connection: db.Connection) -> list[asyncpg.Record]:
            nonlocal again
            if again:
                # The claim whose answer was lost may have been committed; and whoever thought us
                # dead may have removed the worker's row, which jobs refer to.
                await self._mend(connection, worker_id)
            again = True
            # The caller holds a slot for the job that it asks for.
            slots = max(1, self._slots - len(self._started))
            return await connection.fetch(db.queries()["claim_jobs"], wanted, worker_id, slots)

        try:
            rows = await self._line.ride(use)
        except (asyncpg.ForeignKeyViolationError, asyncpg.UniqueViolationError):
            # Our row is gone; or another worker started a job of the same lock at the same moment.
            rows = await self._line.ride(use)
        self.claimed_at = time.monotonic()
        self._ready.extend(
            dict(row) for row in sorted(rows, key=lambda row: (-row["priority"], row["id"]))
        )
        self._all_started.clear()
        return self.one_ready() or NOTHING

    async def next_claim_in(self, queues: Iterable[str] | None) -> float | None:
        """Say in how many seconds a claim may find more without a bell; None when it will not."""
        wanted = None if queues is None else list(queues)
        seconds: float | None = await self._line.ride(
            lambda connection: connection.fetchval(db.queries()["next_claim_in"], wanted)
        )
        return seconds

    async def finish(self, job_id: int, status: str, *, delete: bool) -> None:
        """Write that a job ended; returns when it is written.

        Raises what the driver raises when the database stays away.
        """
        await self._ends.ask(_End(job_id, status, delete))

    def release(self, job_id: int) -> None:
        """Free the slot of a job that ended in another way, such as a retry."""
        self._started.discard(job_id)

    async def beat(self, worker_id: int) -> None:
        """Give the sign of life that says whose jobs these are."""

        async def use(connection: db.Connection) -> None:
            await connection.execute(db.queries()["beat"], worker_id)
            if self._started:
                await connection.execute(db.queries()["adopt_jobs"], worker_id, list(self._started))

        await self._line.ride(use)

    async def give_back(self) -> None:
        """Put back what was claimed and not started."""
        if self.worker_id is None:
            return
        worker_id = self.worker_id
        self._ready.clear()
        await self._line.ride(lambda connection: self._give_back(connection, worker_id))

    async def _mend(self, connection: db.Connection, worker_id: int) -> None:
        await connection.execute(db.queries()["beat"], worker_id)
        await self._give_back(connection, worker_id)

    async def _give_back(self, connection: db.Connection, worker_id: int) -> None:
        back = await connection.fetch(
            db.queries()["give_back_jobs"], worker_id, list(self._started)
        )
        if back:
            log.info("jobs.given_back", jobs=len(back))

    async def _until_started(self) -> None:
        """Wait a moment while jobs are being started: short ones of the same claim end soon."""
        if self._ready:
            timer = asyncio.get_running_loop().call_later(PATIENCE, self._all_started.set)
            await self._all_started.wait()
            timer.cancel()

    async def _write(self, batch: Sequence[_End]) -> Sequence[None]:
        kept = [end for end in batch if not end.delete]
        gone = [end.job_id for end in batch if end.delete]
        try:
            await self._line.ride(
                lambda connection: connection.execute(
                    db.queries()["finish_jobs"],
                    self.worker_id,
                    gone,
                    [end.job_id for end in kept],
                    [end.status for end in kept],
                )
            )
        finally:
            self._started.difference_update(end.job_id for end in batch)
        return [None] * len(batch)
