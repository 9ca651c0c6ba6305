"""Jobs in: claim a request, run its branch, record the verdict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

import structlog

from mediaq import branches, db, pipeline, recovery, source, store
from mediaq.crowd import Crowd
from mediaq.errors import Unavailable
from mediaq.kit import Branch, Kit, Media, Work
from mediaq.listen import listen
from mediaq.model import Made, MediaType, Request
from mediaq.recovery import Identity
from mediaq.settings import Database, Settings
from mediaq.storage.local import LocalStorage
from mediaq.verdict import Verdicts

ANALYSE = "mediaq.analyse"
"""The task's name, as the database's triggers queue it."""

PROGRESS_SECONDS = 0.5
"""Least time between two progress events of one step."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Held:
    """An attempt that runs here; ``over`` is set when its request was taken from it."""

    attempt: int
    task: asyncio.Task[object]
    over: bool = False


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
    _running: dict[UUID, _Held] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "crowd", Crowd(self.pool, self.me))

    async def attempt(self, request_id: str) -> None:
        """Make one attempt at a request and record how it ended.

        Returns quietly when there is nothing to do: the row is gone, ended, running or not due.
        Raises only when the verdict could not be recorded.
        """
        request = await self._claim(UUID(request_id))
        if request is None:
            log.debug("attempt.skipped", request_id=request_id)
            return
        with structlog.contextvars.bound_contextvars(
            request_id=request_id, attempt=request.attempt
        ):
            log.info("attempt.started", media_type=request.media_type)
            await self._attempt(request)

    async def _attempt(self, request: Request) -> None:
        verdicts = Verdicts(self.settings, self.pool, self.crowd)
        seconds = request.options.timeout_seconds or self.settings.attempt_timeout
        limit = asyncio.timeout(seconds)
        verdict = partial(verdicts.complete, request)
        with self._holding(request) as held:
            try:
                async with limit:
                    await self._run(request)
            except asyncio.CancelledError:
                verdict = partial(verdicts.give_back, request)
            except store.Superseded:
                held.over = True
            except pipeline.StepFailed as failed:
                verdict = partial(verdicts.fail, request, failed.error, failed.step)
            except Exception as error:  # noqa: BLE001 - the one place where any failure becomes a verdict
                failure = _took_too_long(seconds) if limit.expired() else error
                verdict = partial(verdicts.fail, request, failure, "fetch")
        if held.over:
            log.info("attempt.superseded")
        else:
            await asyncio.shield(verdict())

    @contextmanager
    def _holding(self, request: Request) -> Iterator[_Held]:
        """Note that an attempt runs here; it ends when :meth:`end_superseded` finds it over."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this runs in a task
        held = self._running[request.request_id] = _Held(request.attempt, task)
        try:
            yield held
        finally:
            # A newer attempt at the same request may run here too.
            if self._running.get(request.request_id) is held:
                del self._running[request.request_id]

    async def end_superseded(self) -> None:
        """End attempts whose request was cancelled, deleted or given to another worker.

        Their child processes are ended and their half-made files removed.
        """
        running = {request_id: held.attempt for request_id, held in self._running.items()}
        if not running:
            return
        for request_id in await recovery.over(self.pool, running):
            held = self._running.get(request_id)
            if held is not None and held.attempt == running[request_id]:
                held.over = True
                held.task.cancel()

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
                with suppress(*db.CONNECTION_ERRORS, TimeoutError):
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
        except asyncio.CancelledError:
            # The worker stops at this moment: what it may have claimed goes back.
            request = await claim
            if request is not None:
                await Verdicts(self.settings, self.pool, self.crowd).give_back(request)
            raise

    async def _run(self, request: Request) -> None:
        # A first attempt finds nothing: two questions less for the common case.
        again = request.attempt > 1
        done = await store.done_steps(self.pool, request.request_id) if again else frozenset()
        results, texts = (
            await store.done_results(self.pool, request.request_id) if again else ({}, {})
        )
        if request.media_type != "auto":
            branch, want = self.branch_of(request.media_type), request.options.want
            missing = pipeline.not_made(branch, want)
            names = [*missing, *(step.name for step in pipeline.chosen(branch, want))]
            if done.issuperset(names):
                # As after a crash between the last step and the verdict: nothing is fetched for it.
                return
        last_told: dict[str, float] = {}
        found: MediaType | None = None

        async def record(step: str, made: Made, duration_ms: int) -> None:
            try:
                async with self.pool.acquire() as connection, connection.transaction():
                    await store.record_step(connection, request, step, made, duration_ms, found)
            except store.Superseded:
                await self.storage.remove(pipeline.outputs_of(request, step))
                raise
            log.info("step.finished", step=step, duration_ms=duration_ms)

        async def tell(step: str, fraction: float, doing: str) -> None:
            now = time.monotonic()
            if now - last_told.get(step, 0) < PROGRESS_SECONDS:
                return
            last_told[step] = now
            data = {"step": step, "fraction": round(fraction, 3), "doing": doing}
            async with self.pool.acquire() as connection, connection.transaction():
                await store.tell_progress(connection, request, data)

        async def progress(fraction: float, doing: str) -> None:
            await tell("fetch", fraction, doing)

        async with self.storage.workspace() as workspace:
            path, title = await source.bring(
                request, self.settings, self.storage.uploads, workspace
            )
            kind = await source.kind_of(request, path, title, self.media)
            found = kind.media_type if request.media_type == "auto" else None
            await pipeline.run(
                self.branch_of(kind.media_type),
                Work(request, path, title, kind, results, texts),
                Kit(self.media, self.storage, workspace, progress),
                done=done,
                record=record,
                tell=tell,
            )


def _took_too_long(seconds: float) -> Unavailable:
    msg = (
        f"the attempt took longer than {seconds:g} s, its limit"
        " (option timeout_seconds, or MEDIAQ_ATTEMPT_TIMEOUT)"
    )
    return Unavailable(msg, limit_seconds=seconds)
