"""Claims, completions and progress of many requests at once, when many come at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from mediaq import db, store
from mediaq.model import Request
from mediaq.recovery import Identity
from mediaq.together import Together


class Crowd:
    """What :func:`store.claim` and :func:`store.complete` do, shared by the attempts of a process.

    Each of these commits rings a bell, which PostgreSQL does for one transaction at a time; so
    ten claims in one transaction cost little more than one.
    """

    def __init__(self, pool: db.Pool, me: Identity) -> None:
        self._pool = pool
        self._me = me
        self._claims = Together(self._claim)
        self._completions = Together(self._complete)
        self._news = Together(self._tell)

    async def claim(self, request_id: UUID) -> Request | None:
        """Begin an attempt, as :func:`store.claim`."""
        row = await self._claims.ask(request_id)
        if row is None:
            return await store.claim(
                self._pool, request_id, worker_id=self._me.worker_id, worker=str(self._me)
            )
        return await store.claimed(self._pool, row)

    async def complete(self, pool: db.Pool, request: Request) -> bool:
        """Record the verdict completed, as :func:`store.complete`."""
        return await self._completions.ask(request) or await store.complete(pool, request)

    async def tell(self, request: Request, data: Mapping[str, Any]) -> None:
        """Write a progress event."""
        await self._news.ask((request, data))

    async def _tell(self, news: Sequence[tuple[Request, Mapping[str, Any]]]) -> Sequence[None]:
        await store.tell_progress(self._pool, news)
        return [None] * len(news)

    # What a batch leaves out is asked once more alone: to wait for a row, or to learn why not.

    async def _claim(self, ids: Sequence[UUID]) -> Sequence[asyncpg.Record | None]:
        if len(ids) == 1:
            return [None]
        rows = await self._pool.fetch(
            db.queries()["claim_many"], list(ids), self._me.worker_id, str(self._me)
        )
        found = {row["request_id"]: row for row in rows}
        # A request that two jobs ask for is given to one.
        return [found.pop(request_id, None) for request_id in ids]

    async def _complete(self, requests: Sequence[Request]) -> Sequence[bool]:
        if len(requests) == 1:
            return [False]
        rows = await self._pool.fetch(
            db.queries()["complete_many"],
            [request.request_id for request in requests],
            [request.attempt for request in requests],
        )
        done = {row["request_id"] for row in rows}
        return [request.request_id in done for request in requests]
