"""Wakes an idle worker when the clock brings it a job: one for later, or room in a queue's rate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from mediaq.queue.jobs import Jobs
from mediaq.queue.statements import DRIVER_ERRORS

HELD_SECONDS = 0.2
"""How long to wait for a job that is due and that someone else has locked."""


class Clock:
    """Looks ahead as far as the next poll, ``poll_seconds`` from now; that one looks further."""

    def __init__(self, jobs: Jobs, poll_seconds: float) -> None:
        self._jobs = jobs
        self._poll_seconds = poll_seconds
        self._looking: asyncio.Task[None] | None = None

    def start(self, queues: Iterable[str] | None, wake: Callable[[], None]) -> None:
        """Call ``wake`` when a claim for these queues may find what it did not find now."""
        self.stop()
        self._looking = asyncio.create_task(self._look(queues, wake))

    def stop(self) -> None:
        """Forget what was seen."""
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self, queues: Iterable[str] | None, wake: Callable[[], None]) -> None:
        # Without an answer the poll finds it.
        with suppress(*DRIVER_ERRORS):
            seconds = await self._jobs.next_claim_in(queues)
            if seconds is not None and seconds < self._poll_seconds:
                await asyncio.sleep(seconds or HELD_SECONDS)
                wake()
