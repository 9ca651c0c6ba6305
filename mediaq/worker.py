"""Jobs in: claim a request, make an attempt at it, and end what is no longer asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import structlog

from mediaq import branches, db, recovery, store
from mediaq.attempt import Attempt
from mediaq.crowd import Crowd
from mediaq.kit import Branch, Media
from mediaq.listen import listen
from mediaq.model import MediaType, Request
from mediaq.recovery import Identity
from mediaq.settings import Database, Settings
from mediaq.storage.local import LocalStorage

ANALYSE = "mediaq.analyse"
"""The task's name, as the database's triggers queue it."""

LOCK_SECONDS = 2.0
"""How long a slot waits for a row that a client's open transaction holds."""

LEAVE_SECONDS = 5.0
"""How long a worker that stops tries to record what could not be recorded so far."""

UNHELD_SECONDS = db.COMMAND_TIMEOUT + 10
"""How long after a claim its answer may still arrive."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Worker:
    """What every attempt of this process shares."""

    settings: Settings
    pool: db.Pool
    storage: LocalStorage
    media: Media
    me: Identity
    branch_of: Callable[[MediaType], Branch] = branches.of
    crowd: Crowd = field(init=False)
    _running: dict[UUID, Attempt] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "crowd", Crowd(self.pool, self.me))

    async def attempt(self, request_id: str) -> None:
        """Make one attempt at a request and record how it ended.

        Returns quietly when there is nothing to do: the row is gone, ended, running or not due.
        Raises what the driver raises when the row cannot be had now, and when the verdict could
        not be recorded.
        """
        request = await self._claim(UUID(request_id))
        if request is None:
            log.debug("attempt.skipped", request_id=request_id)
            return
        attempt = Attempt(
            request,
            self.settings,
            self.pool,
            self.storage,
            self.media,
            self.crowd,
            self.branch_of,
        )

        def forget() -> None:
            # A newer attempt at the same request may run here too.
            if self._running.get(request.request_id) is attempt:
                del self._running[request.request_id]

        self._running[request.request_id] = attempt
        await attempt.make(forget)

    async def end_superseded(self) -> None:
        """End attempts whose request was cancelled, deleted or given to another worker.

        Their child processes are ended and their half-made files removed.
        """
        running = {request_id: made.request.attempt for request_id, made in self._running.items()}
        if not running:
            return
        for request_id in await recovery.over(self.pool, running):
            made = self._running.get(request_id)
            if made is not None and made.request.attempt == running[request_id]:
                made.over = True
                made.end()

    async def look_after(self) -> None:
        """End what is no longer asked for, and give back what was claimed and is not known here."""
        await self.end_superseded()
        held = list(self._running)
        for request_id in await recovery.give_back_unheld(self.pool, self.me, held, UNHELD_SECONDS):
            log.warning("request.given_back", request_id=str(request_id))

    async def leave(self) -> None:
        """Let attempts record what they could not so far, then leave: others sweep.

        Call it once nothing is claimed any more. When the caller is being cancelled there is no
        time to wait for attempts.
        """
        task = asyncio.current_task()
        patience = 0 if task is not None and task.cancelling() else LEAVE_SECONDS
        await asyncio.gather(*(attempt.drop(patience) for attempt in list(self._running.values())))
        # Where the database is away, the others find out by themselves.
        with suppress(*db.PASSING_ERRORS):
            async with asyncio.timeout(LEAVE_SECONDS):
                await recovery.unregister(self.pool, self.me)

    async def watch(self, database: Database) -> None:
        """Hear of cancelled and deleted requests at once, for ever."""
        rung = asyncio.Event()

        def on_bell(_channel: str, payload: str) -> None:
            # Whoever can log in can ring; what is no bell of ours is nothing to us.
            if any(str(request_id) in payload for request_id in self._running):
                rung.set()

        async def answer() -> None:
            while True:
                await rung.wait()
                rung.clear()
                with suppress(*db.PASSING_ERRORS):
                    await self.end_superseded()

        async with asyncio.TaskGroup() as group:
            group.create_task(answer())
            group.create_task(
                listen(
                    database,
                    ["mediaq_events", "mediaq_progress"],
                    on_bell=on_bell,
                    on_connect=rung.set,
                    name="mediaq worker watch",
                )
            )

    async def _claim(self, request_id: UUID) -> Request | None:
        claim = asyncio.ensure_future(self.crowd.claim(request_id))
        try:
            return await asyncio.shield(claim)
        except asyncpg.LockNotAvailableError:
            log.info("attempt.put_off", request_id=str(request_id), why="its row is locked")
            raise
        except asyncio.CancelledError:
            # The worker stops at this moment: what it may have claimed goes back.
            request = await claim
            if request is not None:
                with suppress(*db.PASSING_ERRORS):
                    await store.give_back(self.pool, request)
            raise
