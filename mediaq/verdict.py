"""How an attempt ends: completed, failed for good, tried again later, or given back."""

from __future__ import annotations

import os
import random
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec

import structlog

from mediaq import db, store
from mediaq.crowd import Crowd
from mediaq.errors import MediaqError, Rejected, Unavailable
from mediaq.model import Request
from mediaq.patience import insist
from mediaq.settings import Settings

FRAMES_KEPT = 12
"""Innermost frames of a traceback that are kept with the attempt."""

P = ParamSpec("P")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Records verdicts; each is fenced by its attempt, and insists.

    ``hindered`` hears of what keeps one from being recorded now.
    """

    settings: Settings
    pool: db.Pool
    crowd: Crowd
    hindered: Callable[[Exception], None]

    async def complete(self, request: Request) -> None:
        """Record that everything is done."""
        await self._insist(self.crowd.complete, request)
        log.info("attempt.completed")

    async def give_back(self, request: Request) -> None:
        """Put the request back at once: the worker stops, the attempt did not fail."""
        await self._insist(store.give_back, request)
        log.info("attempt.given_back")

    async def fail(self, request: Request, error: Exception, step: str) -> None:
        """Fail for good when trying again is no use, else put the request back for a while."""
        facts = error.details if isinstance(error, MediaqError) else {}
        details = {
            "class": type(error).__name__,
            "step": step,
            "attempt": request.attempt,
            **facts,
        }
        message = error.message if isinstance(error, MediaqError) else _unforeseen(error)
        failed = request.failed_attempts + 1
        where = None if isinstance(error, MediaqError) else error
        if where is not None:
            await self._insist(store.note_traceback, request, frames(where))
        if isinstance(error, Rejected):
            log.warning("attempt.rejected", error=message)
            await self._insist(store.fail, request, message, details)
        elif failed >= self.settings.max_attempts:
            log.error("attempt.failed", error=message, exc_info=where)
            message = f"{message} (given up after {failed} attempts)"
            await self._insist(store.fail, request, message, details)
        else:
            delay = self._delay(failed, error)
            log.warning("attempt.retried", error=message, delay=round(delay, 1), exc_info=where)
            await self._insist(store.retry, request, message, details, delay)

    def _delay(self, failed: int, error: Exception) -> float:
        """Seconds until the next attempt: doubling, with "equal jitter" so that herds spread.

        https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        """
        longest = self.settings.retry_delay_max
        delay = min(self.settings.retry_delay * 2.0 ** (failed - 1), longest)
        delay = delay / 2 + random.uniform(0, delay / 2)  # noqa: S311 - jitter, not a secret
        asked = error.retry_after if isinstance(error, Unavailable) else None
        return max(delay, asked or 0)

    async def _insist(
        self,
        verdict: Callable[Concatenate[db.Pool, Request, P], Awaitable[bool]],
        request: Request,
        *values: P.args,
        **named: P.kwargs,
    ) -> None:
        """Record a verdict however long the database is away, full, or its row held.

        A verdict that was recorded although its answer got lost is fenced off the second time.
        """
        recorded = await insist(
            lambda: verdict(self.pool, request, *values, **named),
            told="verdict.delayed",
            hindered=self.hindered,
        )
        if not recorded:
            log.info("attempt.superseded")


def frames(error: BaseException) -> str:
    """Write where an error came from, innermost last, without any message: it may hold a secret."""
    lines = [
        f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} in {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-FRAMES_KEPT:]
    ]
    return "\n".join([*lines, type(error).__name__])


def _unforeseen(error: Exception) -> str:
    """Say that something failed without repeating a text that may hold a secret."""
    network = isinstance(error, (ConnectionError, TimeoutError))
    if isinstance(error, OSError) and error.errno and not network:
        # The system's reason only: the error's own text may name any path or address.
        return f"the worker met {os.strerror(error.errno)!r}"
    if network or isinstance(error, db.CONNECTION_ERRORS):
        return "the database could not be reached during the attempt"
    return f"an unforeseen {type(error).__name__} ended the attempt; the worker's log has it"
