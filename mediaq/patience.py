"""Work with the database that is done again until it succeeds: its trouble is not the work's."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from mediaq import db

T = TypeVar("T")

RETRY_SECONDS = (0.1, 2.0)
"""First and longest wait before the next try; it doubles in between, with jitter."""

log = structlog.get_logger()


async def insist(
    work: Callable[[], Awaitable[T]],
    *,
    told: str,
    hindered: Callable[[Exception], None] = lambda _: None,
    seconds: float = math.inf,
) -> T:
    """Return what ``work`` returns, tried again while the database is away, full, or holds a row.

    ``work`` may have taken effect although its answer was lost, so it must bear being done twice.
    ``hindered`` hears of every vain try, the log of the first one as ``told``. Raises what the
    driver raised once ``seconds`` are over.
    """
    began = time.monotonic()
    wait = RETRY_SECONDS[0]
    first = True
    while True:
        try:
            return await work()
        except db.PASSING_ERRORS as error:
            # A value that the driver cannot send will not be sent the next time.
            if isinstance(error, ValueError) or time.monotonic() - began > seconds:
                raise
            if first:
                log.warning(told, error=str(error) or repr(error))
            first = False
            hindered(error)
        await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret
        wait = min(wait * 2, RETRY_SECONDS[1])
