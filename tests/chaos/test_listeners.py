"""The database goes away under listeners: no stream ends, no event is missed or told twice."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import pytest

from mediaq import db, events, listen
from mediaq.api import hub, streams
from mediaq.settings import Database
from tests.chaos.conftest import Breakable, Proxy
from tests.flow import test_cli
from tests.listeners import Listener, Served, served

ALL = "/api/media/events"


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr(hub, "RETRY_SECONDS", 0.1)


@asynccontextmanager
async def serving(database: Database) -> AsyncIterator[Served]:
    async with (
        db.pool(database, name="chaos", size=2, overflow=3) as pool,
        events.bells(database) as bells,
        served(pool, bells) as api,
    ):
        yield api


class Writer:
    """A client of the database that goes on whatever happens."""

    def __init__(self, server: Breakable) -> None:
        self._server = server
        self.inserted = 0
        self._news = asyncio.Condition()

    async def run(self) -> None:
        """Insert requests and end every third; an INSERT whose answer is lost may have happened."""
        while True:
            try:
                connection = await asyncpg.connect(self._server.database.dsn.get_secret_value())
                try:
                    while True:
                        request_id = await connection.fetchval(
                            "INSERT INTO media_analysis_requests (media_path) VALUES ('/x')"
                            " RETURNING request_id"
                        )
                        if self.inserted % 3 == 0:
                            await connection.execute(
                                "UPDATE media_analysis_requests SET status = 'cancelled'"
                                " WHERE request_id = $1",
                                request_id,
                            )
                        async with self._news:
                            self.inserted += 1
                            self._news.notify_all()
                finally:
                    connection.terminate()
            except (*db.CONNECTION_ERRORS, AssertionError):
                await asyncio.sleep(0.02)

    async def more(self, count: int) -> None:
        async with self._news, asyncio.timeout(60):
            aim = self.inserted + count
            await self._news.wait_for(lambda: self.inserted >= aim)


async def fetch(database: Database, query: str, *values: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(database.dsn.get_secret_value())
    try:
        rows: list[asyncpg.Record] = await connection.fetch(query, *values)
        return rows
    finally:
        await connection.close()


async def in_order(database: Database, event: str | None = None) -> list[str]:
    rows = await fetch(
        database,
        "SELECT event_id FROM mediaq.events WHERE event = $1 OR $1 IS NULL ORDER BY xid, event_id",
        event,
    )
    return [str(row["event_id"]) for row in rows]


async def beaten(listener: Listener, times: int) -> None:
    """Wait until a stream that somebody reads has shown so often that it lives."""
    aim = listener.beats + times
    async with asyncio.timeout(30):
        while listener.beats < aim:  # noqa: ASYNC110 - whoever reads counts
            await asyncio.sleep(0.01)


@asynccontextmanager
async def writing(server: Breakable) -> AsyncIterator[Writer]:
    """Somebody writes for the length of the block; then the last event of all is written."""
    writer = Writer(server)
    task = asyncio.create_task(writer.run())
    try:
        yield writer
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await fetch(
        server.database,
        "INSERT INTO media_analysis_requests (media_type, media_path) VALUES ('document', '/end')",
    )


async def to_the_end(listener: Listener) -> list[str]:
    while not listener.told or listener.told[-1]["media_type"] != "document":
        await listener.next()
    return [event["event_id"] for event in listener.told]


async def come_and_go(api: Served, last: str) -> list[str]:
    """Take seven events, leave, come back with the last id, and so on."""
    told: list[str] = []
    while True:
        headers = {"Last-Event-ID": last}
        async with api.session.get(api.url + ALL, headers=headers) as response:
            if response.status == 503:
                assert int(response.headers["Retry-After"]) > 0
                await asyncio.sleep(0.05)
                continue
            assert response.status == 200
            listener = Listener(response, last)
            while len(listener.told) < 7:
                event = await listener.next()
                told.append(event["event_id"])
                if event["media_type"] == "document":
                    return told
            last = listener.last


async def stopped_and_started(server: Breakable, writer: Writer, listener: Listener) -> None:
    await server.stop()
    await beaten(listener, 5)
    await server.start()
    await writer.more(50)


async def cut_off_again_and_again(server: Breakable, writer: Writer, _: Listener) -> None:
    for _ in range(10):
        await fetch(
            server.database,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name IN ('chaos', 'mediaq listen')",
        )
        await writer.more(20)


Break = Callable[[Breakable, Writer, Listener], Awaitable[None]]


@pytest.mark.parametrize("broken", [stopped_and_started, cut_off_again_and_again])
async def test_listeners_miss_nothing_and_hear_nothing_twice(
    breakable: Breakable, broken: Break
) -> None:
    """Those that stay, one that wants little, one that comes and goes, one of a single request."""
    database = breakable.database
    (row,) = await fetch(
        database,
        "INSERT INTO media_analysis_requests (media_path) VALUES ('/one') RETURNING request_id",
    )
    one = f"/api/media/{row[0]}/events"
    async with (
        asyncio.timeout(100),
        serving(database) as api,
        api.listening() as listener,
        api.listening(f"{ALL}?event=cancelled") as narrow,
        api.listening(one) as of_one,
        asyncio.TaskGroup() as group,
    ):
        staying = group.create_task(to_the_end(listener))
        restless = group.create_task(come_and_go(api, listener.last))
        little = group.create_task(narrow.rest())
        single = group.create_task(of_one.rest())
        async with writing(breakable) as writer:
            await writer.more(30)
            await broken(breakable, writer, of_one)
        await fetch(
            database,
            "UPDATE media_analysis_requests SET status = 'cancelled' WHERE request_id = $1",
            row[0],
        )
        await single
        await staying
        await restless
        expected = await in_order(database)
        cancelled = await in_order(database, "cancelled")
        while len(narrow.told) < len(cancelled):  # noqa: ASYNC110 - whoever reads counts
            await asyncio.sleep(0.01)
        api.stop.set()
    assert expected[1:-1] == staying.result() == restless.result()
    assert [event["event_id"] for event in little.result()] == cancelled
    assert [event["event"] for event in of_one.told] == ["pending", "cancelled"]


async def test_streams_go_on_when_the_packets_of_their_database_vanish(
    breakable: Breakable,
    proxied: Callable[[Database], AbstractAsyncContextManager[Proxy]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "_PATIENCE", 1.0)
    monkeypatch.setattr(listen, "PING_SECONDS", 1.0)
    async with (
        asyncio.timeout(60),
        proxied(breakable.database) as proxy,
        serving(proxy.database) as api,
        api.listening() as listener,
    ):
        reading = asyncio.create_task(to_the_end(listener))
        async with writing(breakable) as writer:
            await writer.more(5)
            proxy.freeze()
            await beaten(listener, 5)
            await writer.more(5)
        assert await reading == await in_order(breakable.database)


@pytest.mark.parametrize("broken", [stopped_and_started, cut_off_again_and_again])
async def test_watch_misses_nothing_and_tells_nothing_twice(
    breakable: Breakable, broken: Break, tmp_path: Path
) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "DATABASE_URL": breakable.database.dsn.get_secret_value(),
    }
    watch = await test_cli.start(environment, "watch", "--since", "0", "--json")
    assert watch.stdout is not None
    told: list[str] = []
    try:
        async with (
            asyncio.timeout(100),
            serving(breakable.database) as api,
            api.listening() as any_,
        ):
            reading = asyncio.create_task(any_.rest())
            async with writing(breakable) as writer:
                await writer.more(10)
                told.append(str(json.loads(await watch.stdout.readline())["event_id"]))
                await broken(breakable, writer, any_)
            media_type = ""
            while media_type != "document":
                event = json.loads(await watch.stdout.readline())
                media_type = event["media_type"]
                told.append(str(event["event_id"]))
            api.stop.set()
            await reading
        assert told == await in_order(breakable.database)
    finally:
        watch.send_signal(signal.SIGINT)
        _, said = await watch.communicate()
    assert (watch.returncode, b"Traceback" in said) == (130, False), said
