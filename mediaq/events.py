"""Events, read from a cursor and followed by the bell: a reader that was away misses nothing."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from uuid import UUID

import structlog

from mediaq import db
from mediaq.listen import listen
from mediaq.model import TERMINAL, Event, Status
from mediaq.settings import Database

if TYPE_CHECKING:
    import asyncpg

CHANNELS = ("mediaq_events", "mediaq_progress")
BATCH = 500

# A row of the feed waits for older transactions: how soon and how slowly to look again, in seconds.
_UNSETTLED = (0.02, 1.0)
# Bells are heard at once; this only bounds what an unforeseen loss of one could cost.
_LOOK_ANYWAY = 30.0
# How long a connection may take to answer, in seconds.
_PATIENCE = 10.0
# How soon and how slowly a database that is away is asked again, in seconds.
_AWAY = (0.1, 2.0)

T = TypeVar("T")

log = structlog.get_logger()


class Bells:
    """The bells of one process: one LISTEN connection, any number of waiters."""

    def __init__(self) -> None:
        self._waiters: dict[str | None, set[asyncio.Event]] = {}

    @contextmanager
    def waiter(self, request_id: UUID | None = None) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever there may be news, of any request or of this one."""
        key = str(request_id) if request_id else None
        waiters = self._waiters.setdefault(key, set())
        event = asyncio.Event()
        waiters.add(event)
        try:
            yield event
        finally:
            waiters.discard(event)
            if not waiters:
                self._waiters.pop(key, None)

    def ring(self, _channel: str = "", payload: str = "") -> None:
        """Wake whom the bell concerns: all waiters when it names no request."""
        request_id = _request_of(payload)
        for key in (None, request_id) if request_id else self._waiters:
            for waiter in self._waiters.get(key, ()):
                waiter.set()


def _request_of(payload: str) -> str | None:
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(payload)["request_id"])
    return None


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


class Cursor(NamedTuple):
    """A place in the feed of all events, which is sorted by transaction first, then by id."""

    xid: int
    event_id: int

    def __str__(self) -> str:
        return f"{self.xid}-{self.event_id}"


class Told(NamedTuple):
    """An event and its place."""

    at: Cursor
    event: Event


async def of_requests(
    pool: db.Pool, behind: Sequence[tuple[UUID, int]], limit: int
) -> list[list[Told]]:
    """Read what happened to each of these requests behind an event, no more than so much of each.

    They are written under the request's row lock, so their ids are in the order of commit.
    """
    found: list[list[Told]] = [[] for _ in behind]
    ids, sinces = [request_id for request_id, _ in behind], [since for _, since in behind]
    for row in await _fetch(pool, db.queries()["events_of_requests"], ids, sinces, limit):
        found[row["question"] - 1].append(_told(row))
    return found


async def of_request(
    pool: db.Pool, bells: Bells, request_id: UUID, *, since: int = 0
) -> AsyncIterator[Event]:
    """Yield a request's events after event ``since``, in order, then those to come, for ever."""
    last = since
    with bells.waiter(request_id) as rung:
        while True:
            rung.clear()
            (told,) = await _once_there(partial(of_requests, pool, [(request_id, last)], BATCH))
            for at, event in told:
                yield event
                last = at.event_id
            if len(told) < BATCH:
                with suppress(TimeoutError):
                    await asyncio.wait_for(rung.wait(), _LOOK_ANYWAY)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a request stands: its status, None when there is none, and its last event, else 0."""

    status: Status | None
    last_event: int

    def over(self, since: int) -> bool:
        """Whether nothing comes after event ``since``."""
        return self.last_event <= since and (self.status is None or self.status in TERMINAL)


async def standing(pool: db.Pool, request_id: UUID) -> Standing:
    """Look where a request stands."""
    (row,) = await pool.fetch(db.queries()["standing"], request_id)
    return Standing(row["status"], row["last_event"])


async def cursor(pool: db.Pool, *, since: int | None = None) -> Cursor:
    """Place a cursor behind event ``since``, or at the present end of the feed."""
    if since is not None:
        row = await pool.fetchrow(db.queries()["feed_position"], since)
        if row is not None:
            return Cursor(int(row["transaction"]), row["before"])
    return Cursor(int(await pool.fetchval(db.queries()["feed_end"])), 0)


async def behind(pool: db.Pool, at: Cursor, limit: int) -> tuple[list[Told], bool]:
    """Read the feed behind a cursor; the flag tells that more will settle without a bell.

    An event comes once every transaction older than its own has ended: ids are drawn before
    commit, and a plain ``id > last`` would lose rows under concurrent writers.
    """
    rows = await _fetch(pool, db.queries()["feed"], str(at.xid), at.event_id, limit)
    settled = [_told(row) for row in rows if row["settled"]]
    return settled, len(rows) > len(settled)


async def batches(pool: db.Pool, bells: Bells, start: Cursor) -> AsyncIterator[list[Told]]:
    """Yield all events behind ``start``, none missed and none twice, then those to come, for ever.

    They come in the lists in which they were found.
    """
    at = start
    wait = _UNSETTLED[0]
    with bells.waiter() as rung:
        while True:
            rung.clear()
            told, unsettled = await _once_there(partial(behind, pool, at, BATCH))
            if told:
                yield told
                at = told[-1].at
            if len(told) == BATCH:
                continue
            wait = min(wait * 2, _UNSETTLED[1]) if unsettled and not told else _UNSETTLED[0]
            with suppress(TimeoutError):
                await asyncio.wait_for(rung.wait(), wait if unsettled else _LOOK_ANYWAY)


async def feed(pool: db.Pool, bells: Bells, start: Cursor) -> AsyncIterator[Event]:
    """Yield what :func:`batches` yields one by one."""
    async for told in batches(pool, bells, start):
        for _, event in told:
            yield event


async def _once_there(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until the database answers: who follows events goes on after an outage."""
    wait, lost = _AWAY[0], False
    while True:
        try:
            answer = await ask()
        except db.CONNECTION_ERRORS as error:
            if not lost:
                log.warning("events.database_lost", error=str(error) or repr(error))
            lost = True
        else:
            if lost:
                log.info("events.database_recovered")
            return answer
        await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret
        wait = min(wait * 2, _AWAY[1])


async def _fetch(pool: db.Pool, query: str, *values: object) -> list[asyncpg.Record]:
    """Run a query; a connection that does not answer is dropped.

    The pool would wait for its dead peer to say that the query is cancelled.
    """
    async with pool.acquire(timeout=_PATIENCE) as connection:
        try:
            rows: list[asyncpg.Record] = await connection.fetch(query, *values, timeout=_PATIENCE)
        except TimeoutError:
            connection.terminate()
            raise
        return rows


def _told(row: asyncpg.Record) -> Told:
    event = Event(
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
    return Told(Cursor(int(row["transaction"]), row["event_id"]), event)
