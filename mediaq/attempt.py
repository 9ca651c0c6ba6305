"""One attempt at a request: its branch is run, each step recorded, its end told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import asyncpg
import structlog

from mediaq import branches, db, pipeline, source, store
from mediaq.crowd import Crowd
from mediaq.errors import Rejected, Unavailable
from mediaq.kit import Branch, Kit, Media, Work
from mediaq.model import Made, MediaType, Request, ResultType
from mediaq.patience import insist
from mediaq.settings import Settings
from mediaq.storage.local import LocalStorage
from mediaq.verdict import Verdicts

PROGRESS_SECONDS = 0.5
"""Least time between two progress events of one step."""

log = structlog.get_logger()


class _Aside(Exception):
    """A step was recorded long after its attempt had left its slot to others."""


@dataclass(slots=True)
class Attempt:
    """An attempt at ``request``; ``over`` is set once somebody found that it may record nothing."""

    request: Request
    settings: Settings
    pool: db.Pool
    storage: LocalStorage
    media: Media
    crowd: Crowd
    branch_of: Callable[[MediaType], Branch] = branches.of
    over: bool = False
    _task: asyncio.Task[None] | None = field(default=None, init=False)
    _limit: asyncio.Timeout = field(init=False)
    _left: float = field(default=0, init=False)
    _aside: bool = field(default=False, init=False)
    _recording: bool = field(default=False, init=False)
    _slot_free: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def make(self, when_ended: Callable[[], None]) -> None:
        """Make the attempt, and return when another request may have its slot.

        That is at its end, as a rule; but when a client's open transaction holds the request's row,
        or the database is away at the end, what is to be recorded waits beside the slots.
        """

        def ended(task: asyncio.Task[None]) -> None:
            if self._aside and not task.cancelled() and (error := task.exception()) is not None:
                # Nobody waits for it any more.
                log.error("attempt.lost", request_id=str(self.request.request_id), exc_info=error)
            self._slot_free.set()
            when_ended()

        self._task = asyncio.create_task(self._make())
        self._task.add_done_callback(ended)
        try:
            await self._slot_free.wait()
        except asyncio.CancelledError:
            # The worker stops: the attempt gives its request back.
            self.end()
            await self._slot_free.wait()
        if self._task.done() and not self._task.cancelled():
            self._task.result()

    def end(self) -> None:
        """Stop what it does: its child processes are ended, its half-made files removed.

        Then it gives its request back, unless it is ``over``. A verdict under way is let be.
        """
        if self._task is not None and not self._recording:
            self._task.cancel()

    async def drop(self, seconds: float) -> None:
        """Let it end within so many seconds, then end it without a verdict."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)
            self.over = True
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _make(self) -> None:
        request = self.request
        with structlog.contextvars.bound_contextvars(
            request_id=str(request.request_id), attempt=request.attempt
        ):
            log.info("attempt.started", media_type=request.media_type)
            verdicts = Verdicts(self.settings, self.pool, self.crowd, self._leave_slot)
            verdict = partial(verdicts.complete, request)
            seconds = request.options.timeout_seconds or self.settings.attempt_timeout
            self._limit = asyncio.timeout(seconds)
            try:
                async with self._limit:
                    await self._run()
            except (asyncio.CancelledError, _Aside):
                verdict = partial(verdicts.give_back, request)
            except store.Superseded:
                self.over = True
            except pipeline.StepFailed as failed:
                verdict = partial(verdicts.fail, request, failed.error, failed.step)
            except Exception as error:  # noqa: BLE001 - the one place where any failure becomes a verdict
                failure = _took_too_long(seconds) if self._limit.expired() else error
                verdict = partial(verdicts.fail, request, failure, "fetch")
            if self.over:
                log.info("attempt.superseded")
                return
            self._recording = True
            try:
                await verdict()
            except (asyncpg.DataError, ValueError):
                # As with a character that PostgreSQL knows no text for.
                log.exception("verdict.refused")
                refused = Rejected(
                    "what came of the attempt cannot be stored; the worker's log has it"
                )
                await verdicts.fail(request, refused, "verdict")

    def _leave_slot(self, error: Exception) -> None:
        if not self._aside:
            log.warning("attempt.aside", error=str(error) or repr(error))
        self._aside = True
        self._slot_free.set()

    def _hindered(self, error: Exception) -> None:
        """Stop the clock: it is not the attempt that takes so long."""
        if not self._limit.expired() and (deadline := self._limit.when()) is not None:
            self._left = deadline - asyncio.get_running_loop().time()
            self._limit.reschedule(None)
        if isinstance(error, asyncpg.LockNotAvailableError):
            self._leave_slot(error)

    async def _run(self) -> None:
        request = self.request
        # A first attempt finds nothing: two questions less for the common case.
        ask = partial(insist, told="attempt.delayed", hindered=self._hindered)
        done = frozenset[str]()
        results: dict[ResultType, Any] = {}
        texts: dict[ResultType, str] = {}
        if request.attempt > 1:
            done = await ask(self._done)
            results, texts = await ask(lambda: store.done_results(self.pool, request.request_id))
        if request.media_type != "auto":
            branch, options = self.branch_of(request.media_type), request.options
            missing = pipeline.not_made(branch, options.want)
            names = [*missing, *(step.name for step in pipeline.chosen(branch, options))]
            if done.issuperset(names):
                # As after a crash between the last step and the verdict: nothing is fetched for it.
                return
        last_told: dict[str, float] = {}

        async def tell(step: str, fraction: float, doing: str) -> None:
            now = time.monotonic()
            if now - last_told.get(step, 0) < PROGRESS_SECONDS:
                return
            last_told[step] = now
            data = {"step": step, "fraction": round(fraction, 3), "doing": doing}
            # Progress that cannot be told is no trouble of the step's.
            with suppress(*db.PASSING_ERRORS):
                await self.crowd.tell(request, data)

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
                record=partial(self._record, found),
                tell=tell,
            )

    async def _done(self) -> frozenset[str]:
        return await store.done_steps(self.pool, self.request.request_id)

    async def _record(
        self, found: MediaType | None, step: str, made: Made, duration_ms: int
    ) -> None:
        tried = False

        async def write() -> None:
            nonlocal tried
            again, tried = tried, True
            # A commit whose answer was lost may have succeeded.
            if again and step in await self._done():
                return
            async with self.pool.acquire() as connection, connection.transaction():
                await store.record_step(connection, self.request, step, made, duration_ms, found)

        try:
            await insist(write, told="step.delayed", hindered=self._hindered)
        except store.Superseded:
            await self.storage.remove(pipeline.outputs_of(self.request, step))
            raise
        except asyncio.CancelledError:
            # Whoever took the request did so before or after this step was recorded, not meanwhile.
            with suppress(*db.PASSING_ERRORS, Unavailable):
                if self.over and step not in await self._done():
                    await self.storage.remove(pipeline.outputs_of(self.request, step))
            raise
        log.info("step.finished", step=step, duration_ms=duration_ms)
        if self._aside:
            raise _Aside
        if self._limit.when() is None:
            self._limit.reschedule(asyncio.get_running_loop().time() + self._left)


def _took_too_long(seconds: float) -> Unavailable:
    msg = (
        f"the attempt took longer than {seconds:g} s, its limit"
        " (option timeout_seconds, or MEDIAQ_ATTEMPT_TIMEOUT)"
    )
    return Unavailable(msg, limit_seconds=seconds)
