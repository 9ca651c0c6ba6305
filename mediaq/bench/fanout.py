"""How soon an event reaches the listeners of one API process, and what a listener costs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from mediaq import db, limits
from mediaq.bench.scratch import sql
from mediaq.errors import Unavailable
from mediaq.settings import Database

AT_ONCE = 100
"""Listeners that connect at once: a server's queue of new connections is short."""

WARM = 10
"""Listeners that come and go first: what they bring along is not the cost of each."""

SPARE_FILES = 200

PATIENCE = 60.0
"""Longest wait for anything, in seconds."""


@dataclass(frozen=True, slots=True)
class Fanout:
    """Milliseconds from a statement to each receipt of its event, and bytes of a listener.

    The bytes are None where the system does not tell.
    """

    broadcast: list[float]
    targeted: list[float]
    bytes_each: float | None


async def measure(database: Database, listeners: int, events: int) -> Fanout:
    """Let so many listen to everything, then each to another request; cause so many events.

    The API runs in a process of its own, the listeners in this one. The time begins before the
    statement is sent, so its way to the commit is in it: when it has returned, some have heard.
    """
    wanted = listeners + SPARE_FILES
    if (allowed := limits.open_files(wanted)) < wanted:
        msg = (
            f"{listeners} listeners need {wanted} open files and {allowed} are allowed;"
            " raise the hard limit (ulimit -Hn) or ask for fewer --listeners"
        )
        raise Unavailable(msg)
    connection = await asyncpg.connect(database.dsn.get_secret_value())
    try:
        await connection.execute(sql()["clear"])
        async with asyncio.timeout(PATIENCE), _api(database, listeners) as (url, pid):
            broadcast, bytes_each = await _broadcast(connection, url, pid, listeners, events)
            targeted = await _targeted(connection, url, listeners, events)
            return Fanout(broadcast, targeted, bytes_each)
    finally:
        await connection.close()


class Audience:
    """When all listeners together received events."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._wanted = 0
        self._enough = asyncio.Event()

    def receive(self, events: int) -> None:
        """Note that so many events arrived just now."""
        self._times += [time.perf_counter()] * events
        if len(self._times) >= self._wanted:
            self._enough.set()

    async def times(self, count: int) -> list[float]:
        """Wait for so many receipts since the last call."""
        self._wanted = count
        while len(self._times) < count:
            self._enough.clear()
            await self._enough.wait()
        times, self._times = self._times, []
        return times


class Listener(asyncio.Protocol):
    """The cheapest client there is, so that the server is measured and not its clients."""

    def __init__(self, audience: Audience) -> None:
        self.opened = asyncio.Event()
        self._audience = audience

    def data_received(self, data: bytes) -> None:
        """Count the events that arrived; the server writes none of these in two pieces."""
        if not self.opened.is_set() and b"\nretry:" in data:
            self.opened.set()
        self._audience.receive(data.count(b"\ndata:"))


@asynccontextmanager
async def _listening(url: str, paths: Sequence[str]) -> AsyncIterator[Audience]:
    """Open a stream for each path."""
    address, audience = urlsplit(url), Audience()
    transports: list[asyncio.Transport] = []

    async def listen(path: str) -> None:
        transport, listener = await asyncio.get_running_loop().create_connection(
            lambda: Listener(audience), str(address.hostname), address.port or 80
        )
        transports.append(transport)
        transport.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        await listener.opened.wait()

    try:
        for first in range(0, len(paths), AT_ONCE):
            await asyncio.gather(*map(listen, paths[first : first + AT_ONCE]))
        yield audience
    finally:
        for transport in transports:
            transport.close()


async def _broadcast(
    connection: db.Connection, url: str, pid: int, count: int, events: int
) -> tuple[list[float], float | None]:
    path = "/api/media/events"
    taken: list[float] = []
    async with _listening(url, [path] * WARM):
        before = _resident(pid)
    async with _listening(url, [path] * count) as audience:
        for _ in range(events):
            began = time.perf_counter()
            await connection.execute(sql()["insert_requests"], "/x.mp4", 1)
            taken += [(at - began) * 1000 for at in await audience.times(count)]
        after = _resident(pid)
    return taken, None if before is None or after is None else (after - before) / count


async def _targeted(connection: db.Connection, url: str, count: int, events: int) -> list[float]:
    await connection.execute(sql()["clear"])
    await connection.execute(sql()["insert_requests"], "/x.mp4", count)
    ids = [row[0] for row in await connection.fetch(sql()["request_ids"])]
    taken: list[float] = []
    async with _listening(url, [f"/api/media/{one}/events" for one in ids]) as audience:
        # That each was queued is told first.
        await audience.times(count)
        for one in ids[:events]:
            began = time.perf_counter()
            await connection.execute(sql()["start_request"], one)
            taken += [(at - began) * 1000 for at in await audience.times(1)]
    return taken


def _resident(pid: int) -> int | None:
    """Read how much memory a process holds, in bytes."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except FileNotFoundError:
        return None
    return pages * os.sysconf("SC_PAGESIZE")


@asynccontextmanager
async def _api(database: Database, listeners: int) -> AsyncIterator[tuple[str, int]]:
    """Run ``mediaq api`` on a free port; yields its URL and process id."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mediaq", "api", "--host", "127.0.0.1", "--port", "0"),
        env=os.environ
        | {
            "DATABASE_URL": database.dsn.get_secret_value(),
            "MEDIAQ_MAX_STREAMS": str(listeners + WARM),
            "MEDIAQ_LOG_FORMAT": "json",
            "MEDIAQ_LOG_LEVEL": "info",
        },
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield await _url(process), process.pid
    finally:
        process.terminate()
        await process.communicate()


async def _url(process: asyncio.subprocess.Process) -> str:
    said = ""
    while process.stderr is not None and (line := await process.stderr.readline()):
        said = line.decode().strip()
        told = json.loads(said)
        if told["event"] == "api.ready":
            return str(told["url"])
    msg = f"the API that was to be measured did not start: {said}"
    raise Unavailable(msg)
