"""Remove what is old: ended requests, told events, finished jobs, workers that are gone."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timedelta

import structlog

from mediaq import db
from mediaq.settings import Settings

log = structlog.get_logger()

CLEAN_SECONDS = 3600.0
"""Longest time between two rounds of a worker."""

BATCH = 1000
"""Rows removed in one transaction: clients and workers get their turn in between."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How long each kind is kept after its end; requests that are None are kept for ever."""

    requests: timedelta | None
    events: timedelta
    jobs: timedelta
    workers: timedelta


@dataclass(frozen=True, slots=True)
class Removed:
    """How many of each kind were, or would be, removed."""

    requests: int
    events: int
    jobs: int
    workers: int


def keep(settings: Settings) -> Keep:
    """Read from the settings how long things are kept."""
    requests = settings.keep_requests_days
    return Keep(
        requests=None if requests is None else timedelta(days=requests),
        events=timedelta(days=settings.keep_events_days),
        jobs=timedelta(days=settings.keep_jobs_days),
        workers=timedelta(days=settings.keep_workers_days),
    )


async def clean(pool: db.Pool, kept: Keep, *, dry_run: bool = False) -> Removed:
    """Remove what is older than ``kept`` says, a batch at a time, or only count it.

    Several may run at once: requests that one is removing, the others pass over.
    """
    if dry_run:
        return Removed(
            requests=await _count(pool, "old_requests", kept.requests),
            events=await _count(pool, "old_events", kept.events),
            jobs=await _count(pool, "old_jobs", kept.jobs),
            workers=await _count(pool, "old_workers", kept.workers),
        )
    return Removed(
        requests=await _remove(pool, "remove_requests", kept.requests),
        events=await _remove(pool, "remove_events", kept.events),
        jobs=await _remove(pool, "remove_jobs", kept.jobs),
        workers=await _remove(pool, "remove_workers", kept.workers),
    )


async def keep_clean(pool: db.Pool, kept: Keep) -> None:
    """Clean now and then, for ever; each worker does, and they do not get in each other's way."""
    while True:
        # With jitter, so that workers that were started together do not clean together.
        await asyncio.sleep(CLEAN_SECONDS * random.uniform(0.5, 1))  # noqa: S311 - no secret
        with suppress(*db.PASSING_ERRORS):
            removed = await clean(pool, kept)
            if removed != Removed(0, 0, 0, 0):
                log.info("retention.cleaned", **asdict(removed))


async def _count(pool: db.Pool, query: str, age: timedelta | None) -> int:
    if age is None:
        return 0
    found: int = await pool.fetchval(db.queries()[query], age)
    return found


async def _remove(pool: db.Pool, query: str, age: timedelta | None) -> int:
    if age is None:
        return 0
    total = 0
    while True:
        removed: int = await pool.fetchval(db.queries()[query], age, BATCH)
        total += removed
        if removed == 0:
            return total
