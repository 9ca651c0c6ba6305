"""Events, read from a cursor and followed by the bell: a reader that was away misses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID
from weakref import WeakSet

from mediaq import db
from mediaq.listen import listen
from mediaq.model import Event
from mediaq.settings import Database

if TYPE_CHECKING:
    import asyncpg

CHANNELS = ("mediaq_events", "mediaq_progress")
BATCH = 500

# A row of the feed waits for older transactions: how soon and how slowly to look again, in seconds.
_UNSETTLED = (0.02, 1.0)
# Bells are heard at once; this only bounds what an unforeseen loss of one could cost.
_LOOK_ANYWAY = 30.0


class Bells:
    """The bells of one process: one LISTEN connection, any number of waiters."""

    def __init__(self) -> None:
        # Weak, so that a reader which is dropped halfway needs no clean-up.
        self._waiters: WeakSet[asyncio.Event] = WeakSet()

    def waiter(self) -> asyncio.Event:
        """Make an event that is set whenever there may be something new to read."""
        event = asyncio.Event()
        self._waiters.add(event)
        return event

    def ring(self, *_: str) -> None:
        """Wake every waiter."""
        for waiter in self._waiters:
            waiter.set()


@asynccontextmanager
async def bells(database: Database) -> AsyncIterator[Bells]:
    """Listen to mediaq's channels for the length of the block."""
    opened = Bells()
    task = asyncio.create_task(
        listen(database, CHANNELS, on_bell=opened.ring, on_connect=opened.ring)
    )
    try:
        yield opened
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def of_request(
    pool: db.Pool, bells: Bells, request_id: UUID, *, since: int = 0
) -> AsyncIterator[Event]:
    """Yield a request's events after event ``since``, in order, then those to come, for ever.

    They are written under the request's row lock, so their ids are in the order of commit.
    """
    last = since
    rung = bells.waiter()
    while True:
        rung.clear()
        rows = await pool.fetch(db.queries()["events_of_request"], request_id, last, BATCH)
        for row in rows:
            yield _event(row)
            last = row["event_id"]
        if len(rows) < BATCH:
            with suppress(TimeoutError):
                await asyncio.wait_for(rung.wait(), _LOOK_ANYWAY)


async def last_of_request(pool: db.Pool, request_id: UUID) -> int:
    """Number the last event of a request so far; 0 when it has none."""
    last: int = await pool.fetchval(db.queries()["last_event_of_request"], request_id)
    return last


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the feed of all events; rows sort by transaction first, then by id."""

    xid: str
    event_id: int


async def cursor(pool: db.Pool, *, since: int | None = None) -> Cursor:
    """Place a cursor behind event ``since``, or at the present end of the feed."""
    if since is not None:
        row = await pool.fetchrow(db.queries()["feed_position"], since)
        if row is not None:
            return Cursor(row["transaction"], row["before"])
    return Cursor(await pool.fetchval(db.queries()["feed_end"]), 0)


async def feed(pool: db.Pool, bells: Bells, start: Cursor) -> AsyncIterator[Event]:
    """Yield all events behind ``start``, none missed and none twice, then those to come, for ever.

    An event comes once every transaction older than its own has ended: ids are drawn before
    commit, and a plain ``id > last`` would lose rows under concurrent writers.
    """
    at = start
    wait = _UNSETTLED[0]
    rung = bells.waiter()
    while True:
        rung.clear()
        rows = await pool.fetch(db.queries()["feed"], at.xid, at.event_id, BATCH)
        settled = [row for row in rows if row["settled"]]
        for row in settled:
            yield _event(row)
            at = Cursor(row["transaction"], row["event_id"])
        if len(settled) == BATCH:
            continue
        unsettled = len(rows) > len(settled)
        wait = min(wait * 2, _UNSETTLED[1]) if unsettled and not settled else _UNSETTLED[0]
        with suppress(TimeoutError):
            await asyncio.wait_for(rung.wait(), wait if unsettled else _LOOK_ANYWAY)


def _event(row: asyncpg.Record) -> Event:
    return Event(
        event_id=row["event_id"],
        request_id=row["request_id"],
        event=row["event"],
        status=row["status"],
        media_type=row["media_type"],
        attempt=row["attempt"],
        at=row["at"],
        error=row["error"],
        data=row["data"],
    )
