"""A client of event streams, and an API process's worth of server for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from mediaq import db
from mediaq.api import app
from mediaq.api.context import Context
from mediaq.events import Bells


@dataclass
class Listener:
    """An open stream: its blocks one after the other, and the last id as a browser keeps it."""

    response: aiohttp.ClientResponse
    last: str = ""
    retry: int = 0
    beats: int = 0
    told: list[dict[str, Any]] = field(default_factory=list)

    async def block(self) -> dict[str, str]:
        """Read the next block; raises EOFError at the end."""
        fields: dict[str, str] = {}
        async for raw in self.response.content:
            line = raw.decode().removesuffix("\n")
            if not line:
                break
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        else:
            raise EOFError
        self.last = fields.get("id", self.last)
        self.retry = int(fields.get("retry", self.retry))
        self.beats += "" in fields
        return fields

    async def next(self) -> dict[str, Any]:
        """Read on to the next event."""
        while True:
            fields = await self.block()
            if "data" in fields:
                data: dict[str, Any] = json.loads(fields["data"])
                assert data["event"] == fields["event"]
                assert data["event_id"] == self.last.partition("-")[2]
                self.told.append(data)
                return data

    async def take(self, count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(30):
            return [await self.next() for _ in range(count)]

    async def rest(self) -> list[dict[str, Any]]:
        """Read on to the end of the stream."""
        rest: list[dict[str, Any]] = []
        async with asyncio.timeout(30):
            with suppress(EOFError):
                while True:
                    rest.append(await self.next())
        return rest


@dataclass
class Served:
    """A server on a free port, and sessions to it."""

    url: str
    session: aiohttp.ClientSession
    stop: asyncio.Event

    @asynccontextmanager
    async def listening(
        self, path: str = "/api/media/events", last: str = ""
    ) -> AsyncIterator[Listener]:
        """A stream that is open and has said where it begins."""
        headers = {"Last-Event-ID": last} if last else {}
        async with self.session.get(self.url + path, headers=headers) as response:
            assert response.status == 200, await response.text()
            assert response.content_type == "text/event-stream"
            listener = Listener(response)
            async with asyncio.timeout(30):
                await listener.block()
            yield listener


@asynccontextmanager
async def served(pool: db.Pool, bells: Bells, max_streams: int = 5000) -> AsyncIterator[Served]:
    """The API as ``mediaq api`` serves it."""
    stop, url = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        app.serve(
            Context(pool, bells, max_streams),
            host="127.0.0.1",
            port=0,
            stop=stop,
            ready=url.set_result,
        )
    )
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        try:
            yield Served(await url, session, stop)
        finally:
            stop.set()
            await task
