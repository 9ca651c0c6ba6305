"""Jobs in: claim a request, run its branch, record the verdict."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Concatenate, ParamSpec
from uuid import UUID

import structlog

from mediaq import branches, db, fetch, pipeline, store
from mediaq.crowd import Crowd
from mediaq.errors import MediaqError, Rejected, Unavailable
from mediaq.kit import Branch, Kit, Media, Work
from mediaq.model import Made, MediaType, Request
from mediaq.settings import Settings
from mediaq.storage.local import LocalStorage

ANALYSE = "mediaq.analyse"
"""The task's name, as the database's triggers queue it."""

PROGRESS_SECONDS = 0.5
"""Least time between two progress events of one step."""

INSIST_SECONDS = 300
"""How long a verdict is tried again while the database is away."""

P = ParamSpec("P")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Worker:
    """What every attempt of this process shares."""

    settings: Settings
    pool: db.Pool
    storage: LocalStorage
    media: Media
    branch_of: Callable[[MediaType], Branch] = branches.of
    crowd: Crowd = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "crowd", Crowd(self.pool))

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
            started = time.monotonic()
            try:
                await self._run(request)
            except store.Superseded:
                log.info("attempt.superseded")
            except asyncio.CancelledError:
                # The worker stops. The request is queued anew, so this job is done with it.
                await asyncio.shield(_insist(store.give_back, self.pool, request))
                log.info("attempt.given_back")
            except pipeline.StepFailed as failed:
                await self._end_badly(request, failed.error, failed.step)
            except Exception as error:  # noqa: BLE001 - the one place where any failure becomes a verdict
                await self._end_badly(request, error, "fetch")
            else:
                await _insist(self.crowd.complete, self.pool, request)
                log.info("attempt.completed", seconds=round(time.monotonic() - started, 3))

    async def _claim(self, request_id: UUID) -> Request | None:
        claim = asyncio.ensure_future(self.crowd.claim(request_id))
        try:
            return await asyncio.shield(claim)
        except asyncio.CancelledError:
            # The worker stops at this moment: what it may have claimed goes back.
            request = await claim
            if request is not None:
                await _insist(store.give_back, self.pool, request)
            raise

    async def _run(self, request: Request) -> None:
        branch = self.branch_of(request.media_type)
        # A first attempt finds nothing: two questions less for the common case.
        again = request.attempt > 1
        done = await store.done_steps(self.pool, request.request_id) if again else frozenset()
        results = await store.done_results(self.pool, request.request_id) if again else {}
        if all(step.name in done for step in branch.steps):
            # As after a crash between the last step and the verdict: nothing is fetched for it.
            return
        last_told: dict[str, float] = {}

        async def record(step: str, made: Made, duration_ms: int) -> None:
            try:
                async with self.pool.acquire() as connection, connection.transaction():
                    await store.record_step(connection, request, step, made, duration_ms)
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
            source, title = await self._source(request, workspace)
            await pipeline.run(
                branch,
                Work(
                    request=request,
                    source=source,
                    title=title,
                    results=results,
                ),
                Kit(
                    media=self.media,
                    storage=self.storage,
                    workspace=workspace,
                    progress=progress,
                ),
                done=done,
                record=record,
                tell=tell,
            )

    async def _source(self, request: Request, workspace: Path) -> tuple[Path, str]:
        """Bring the source here; a media_path goes before a media_url."""
        limit = self.settings.max_source_bytes
        if request.media_path is not None:
            roots = (*self.settings.media_roots, self.storage.uploads)
            path = await asyncio.to_thread(
                fetch.from_path, request.media_path, roots, max_bytes=limit
            )
            # A name that is not UTF-8 could be stored in no row.
            return path, path.name.encode(errors="replace").decode()
        url = request.media_url or ""
        title = fetch.name_of(url)
        path = await fetch.from_url(
            url,
            workspace / _plain_name(title),
            max_bytes=limit,
            seconds=self.settings.fetch_timeout,
            allow=self.settings.fetch_allow,
        )
        return path, title

    async def _end_badly(self, request: Request, error: Exception, step: str) -> None:
        """Record a failure: for good when trying again is no use, else back to the queue."""
        facts = error.details if isinstance(error, MediaqError) else {}
        details = {
            "class": type(error).__name__,
            "step": step,
            "attempt": request.attempt,
            **facts,
        }
        message = str(error) if isinstance(error, MediaqError) else _unforeseen(error)
        attempts = request.failed_attempts + 1
        if isinstance(error, Rejected):
            log.warning("attempt.rejected", error=message)
            await _insist(store.fail, self.pool, request, message, details)
        elif attempts >= self.settings.max_attempts:
            log.error("attempt.failed", error=message, exc_info=_traceback(error))
            message = f"{message} (given up after {attempts} attempts)"
            await _insist(store.fail, self.pool, request, message, details)
        else:
            delay = self._delay(attempts, error)
            log.warning(
                "attempt.retried", error=message, delay=round(delay, 1), exc_info=_traceback(error)
            )
            await _insist(store.retry, self.pool, request, message, details, delay)

    def _delay(self, attempts: int, error: Exception) -> float:
        """Seconds until the next attempt: doubling, with "equal jitter" so that herds spread.

        https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        """
        longest = self.settings.retry_delay_max
        delay = min(self.settings.retry_delay * 2.0 ** (attempts - 1), longest)
        delay = delay / 2 + random.uniform(0, delay / 2)  # noqa: S311 - jitter, not a secret
        asked = error.retry_after if isinstance(error, Unavailable) else None
        return max(delay, asked or 0)


async def _insist(
    verdict: Callable[Concatenate[db.Pool, Request, P], Awaitable[bool]],
    pool: db.Pool,
    request: Request,
    *values: P.args,
    **named: P.kwargs,
) -> None:
    """Record a verdict although the database may be away for a while.

    A verdict that was recorded although its answer got lost is fenced off the second time.
    """
    deadline = time.monotonic() + INSIST_SECONDS
    while True:
        try:
            recorded = await verdict(pool, request, *values, **named)
        except db.CONNECTION_ERRORS as error:
            if time.monotonic() > deadline:
                raise
            log.warning("verdict.delayed", error=str(error) or repr(error))
            await asyncio.sleep(1)
        else:
            if not recorded:
                log.info("attempt.superseded")
            return


def _plain_name(title: str) -> str:
    """A file name that means nothing to a shell or a decoder, still telling what the file is."""
    return re.sub(r"[^A-Za-z0-9._-]|^[.-]", "_", title)[-80:]


def _unforeseen(error: Exception) -> str:
    """Say that something failed without repeating a text that may hold a secret."""
    if isinstance(error, OSError):
        # Its reason only: its text may name any path.
        return f"the worker met {error.strerror or type(error).__name__!r}"
    if isinstance(error, db.CONNECTION_ERRORS):
        return "the database could not be reached during the attempt"
    return f"an unforeseen {type(error).__name__} ended the attempt; the worker's log has it"


def _traceback(error: Exception) -> Exception | None:
    return None if isinstance(error, MediaqError) else error
