"""Events for the streams of one process: read once, written as text once, told to many."""

from __future__ import annotations

import asyncio
import json
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID

from mediaq import db, events
from mediaq.events import Bells, Cursor, Told
from mediaq.model import LAST
from mediaq.together import K, Together

KEPT = 1000
"""Events of the feed that are kept for streams a little behind; others read rows."""

CHUNK = 100
"""Events that a stream takes at once."""

TOGETHER = 200
"""Requests whose events are read by one statement."""

RETRY_SECONDS = 1.0
"""How long a stream waits, more or less, before it asks a database that is away again."""


class Line(NamedTuple):
    """An event as a stream tells it."""

    at: Cursor
    event: str
    media_type: str
    text: bytes


class Hub:
    """One reading of the feed while anybody follows it, and rows for whoever is behind that.

    Streams keep no queue but a place of their own, so that one more costs little and a slow one
    holds up nobody. Those that ask the same question at the same time share the answer.
    """

    def __init__(self, pool: db.Pool, bells: Bells) -> None:
        self._bells = bells
        self._pool = pool
        # All events behind `_begin` that the reading has found are in the lines.
        self._begin = Cursor(0, 0)
        self._lines: list[Line] = []
        self._news = asyncio.Event()
        self._followers = 0
        self._reading: asyncio.Task[None] | None = None
        self._feed = Together(self._behind_each)
        self._requests = Together(self._of_each)

    @contextmanager
    def followed(self, end: Cursor) -> Iterator[None]:
        """Read the feed for the length of the block; the first follower's ``end`` is where from."""
        if self._reading is None or self._reading.done():
            self._begin, self._lines = end, []
            self._reading = asyncio.create_task(self._read(end))
        self._followers += 1
        try:
            yield
        finally:
            self._followers -= 1
            if not self._followers:
                self._reading.cancel()
                self._reading = None

    async def behind(self, at: Cursor) -> tuple[Sequence[Line], Cursor]:
        """Wait for news behind ``at``: lines, and the place that they lead to."""
        while True:
            begin = self._begin
            if at < begin:
                lines: Sequence[Line] = await _patiently(self._feed, at)
                # All before the lines is settled: without a row there is nothing in between.
                return lines, lines[-1].at if lines else begin
            first = bisect_right(self._lines, at, key=lambda line: line.at)
            if lines := self._lines[first : first + CHUNK]:
                return lines, lines[-1].at
            await self._news.wait()
            if self._reading is not None and self._reading.done():
                await self._reading

    async def of_request(self, request_id: UUID, since: int) -> Sequence[Line]:
        """Read what happened to a request behind an event, now."""
        return await _patiently(self._requests, (request_id, since))

    async def _read(self, start: Cursor) -> None:
        try:
            async for told in events.batches(self._pool, self._bells, start):
                self._lines += map(_line, told)
                if excess := self._lines[:-KEPT]:
                    self._begin = excess[-1].at
                    del self._lines[: len(excess)]
                self._wake()
        finally:
            # Also when it fails: followers see it then.
            asyncio.get_running_loop().call_soon(self._wake)

    def _wake(self) -> None:
        self._news.set()
        self._news.clear()

    async def _behind_each(self, places: Sequence[Cursor]) -> Sequence[Sequence[Line]]:
        found: dict[Cursor, list[Line]] = {}
        for at in dict.fromkeys(places):
            told, _ = await events.behind(self._pool, at, CHUNK)
            found[at] = [_line(one) for one in told]
        return [found[at] for at in places]

    async def _of_each(self, asked: Sequence[tuple[UUID, int]]) -> Sequence[Sequence[Line]]:
        found: dict[tuple[UUID, int], list[Line]] = {}
        distinct = list(dict.fromkeys(asked))
        for first in range(0, len(distinct), TOGETHER):
            some = distinct[first : first + TOGETHER]
            for one, told in zip(
                some, await events.of_requests(self._pool, some, CHUNK), strict=True
            ):
                found[one] = [_line(event) for event in told]
        return [found[one] for one in asked]


class OfAll:
    """A stream's place in the feed, and what of it the stream wants."""

    over = False

    def __init__(self, hub: Hub, at: Cursor, wants: Callable[[Line], bool]) -> None:
        self.at = at
        self._hub = hub
        self._wants = wants

    async def lines(self) -> list[Line]:
        """Wait for the next lines."""
        while True:
            found, self.at = await self._hub.behind(self.at)
            if lines := [line for line in found if self._wants(line)]:
                return lines


class OfOne:
    """A stream's place among the events of a request; ``over`` once it has ended."""

    def __init__(self, hub: Hub, request_id: UUID, at: Cursor, rung: asyncio.Event) -> None:
        self.at = at
        self.over = False
        self._hub = hub
        self._request_id = request_id
        self._rung = rung

    async def lines(self) -> Sequence[Line]:
        """Wait for the next lines."""
        while True:
            self._rung.clear()
            lines = await self._hub.of_request(self._request_id, self.at.event_id)
            if lines:
                self.at = lines[-1].at
                # Asked again, it would have had another event in the same moment.
                self.over = len(lines) < CHUNK and lines[-1].event in LAST
                return lines
            await self._rung.wait()


async def _patiently(together: Together[K, Sequence[Line]], question: K) -> Sequence[Line]:
    """Ask until the database answers: streams outlive its absence."""
    while True:
        try:
            return await together.ask(question)
        except db.CONNECTION_ERRORS:
            await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret


def _line(told: Told) -> Line:
    """Write an event: the fields of a bell, with the attempt and the data of a step or progress."""
    at, event = told
    # The id is a text as in a bell: JavaScript rounds large integers.
    fields = {"v": 1} | event.model_dump(mode="json") | {"event_id": str(event.event_id)}
    text = f"id: {at}\nevent: {event.event}\ndata: {json.dumps(fields)}\n\n"
    return Line(at, event.event, event.media_type, text.encode())
