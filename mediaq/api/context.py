"""What every route of one API process shares."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web

from mediaq.events import Bells

if TYPE_CHECKING:
    from mediaq import db


PATIENCE = 10.0
"""Seconds that a request waits for the database."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Context:
    """The database and its bells; ``stopping`` is set once no client may wait any longer."""

    pool: db.Pool
    bells: Bells
    max_streams: int = 5000
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


CONTEXT = web.AppKey("context", Context)


def of(request: web.Request) -> Context:
    """Find the context of a request's application."""
    return request.app[CONTEXT]


async def within(seconds: float, *works: Coroutine[Any, Any, T]) -> T:
    """Await the first of ``works`` for so many seconds, else :class:`TimeoutError`.

    The others are cancelled, but nobody waits for that: when the network to the database is
    dead, ending a statement takes as long as the statement.
    """
    tasks = [asyncio.create_task(work) for work in works]
    for task in tasks:
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                return task.result()
        raise TimeoutError
    finally:
        for task in tasks:
            task.cancel()


async def ask(work: Coroutine[Any, Any, T]) -> T:
    """Await a question to the database; :class:`TimeoutError` when it does not answer."""
    return await within(PATIENCE, work)
