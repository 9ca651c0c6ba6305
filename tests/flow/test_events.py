"""Events: written by the database, rung as bells, read without a gap."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import asyncpg

from mediaq import db, events, store
from mediaq.events import Bells
from mediaq.model import Event
from mediaq.settings import Database
from tests.conftest import Insert, claim


@contextlib.asynccontextmanager
async def heard(database: Database, *channels: str) -> AsyncIterator[asyncio.Queue[str]]:
    bells: asyncio.Queue[str] = asyncio.Queue()
    connection = await asyncpg.connect(database.dsn.get_secret_value())
    for channel in channels:
        await connection.add_listener(channel, lambda *args: bells.put_nowait(str(args[3])))
    yield bells
    await connection.close()


async def take(happening: AsyncIterator[Event], count: int) -> list[Event]:
    taken: list[Event] = []
    async with asyncio.timeout(30):
        async for event in happening:
            taken.append(event)
            if len(taken) == count:
                break
    return taken


async def test_an_end_rings_once_and_says_how_it_ended(
    database: Database, pool: db.Pool, insert: Insert
) -> None:
    async with heard(database, "mediaq_events") as bells:
        request_id = await insert(media_path="/x.mp4", media_type="video")
        request = await claim(pool, request_id)
        assert request is not None
        await store.fail(pool, request, "it was “broken”\n" * 400, {})
        payload = await asyncio.wait_for(bells.get(), 10)
        await pool.execute("SELECT pg_notify('mediaq_events', 'last')")
        assert await asyncio.wait_for(bells.get(), 10) == "last"
    bell = json.loads(payload)
    assert list(bell) == [
        *("v", "event_id", "request_id", "event", "status", "media_type", "at", "error"),
    ]
    assert (bell["v"], bell["request_id"], bell["event"]) == (1, str(request_id), "failed")
    assert (bell["status"], bell["media_type"]) == ("failed", "video")
    assert isinstance(bell["event_id"], str)
    assert len(bell["error"]) == 500
    assert len(payload.encode()) < 4000


async def test_progress_rings_its_own_channel(
    database: Database, pool: db.Pool, insert: Insert
) -> None:
    async with heard(database, "mediaq_progress") as bells:
        request_id = await insert(media_path="/x.mp4")
        request = await claim(pool, request_id)
        assert request is not None
        await store.complete(pool, request)
        told = [json.loads(await asyncio.wait_for(bells.get(), 10))["event"] for _ in range(2)]
        assert told == ["pending", "processing"]
        await pool.execute("SELECT pg_notify('mediaq_progress', '\"last\"')")
        assert await asyncio.wait_for(bells.get(), 10) == '"last"'


async def test_a_rolled_back_change_is_no_event(
    database: Database, pool: db.Pool, insert: Insert
) -> None:
    await insert(media_path="/x.mp4")
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("UPDATE media_analysis_requests SET status = 'cancelled'")
        await transaction.rollback()
    assert await pool.fetchval("SELECT count(*) FROM mediaq.events") == 1


async def test_a_request_is_followed_from_its_beginning_to_its_end(
    pool: db.Pool, bells: Bells, insert: Insert
) -> None:
    request_id = await insert(media_path="/x.mp4")
    following = asyncio.create_task(take(events.of_request(pool, bells, request_id), 3))
    request = await claim(pool, request_id)
    assert request is not None
    await store.complete(pool, request)
    told = await following
    assert [event.event for event in told] == ["pending", "processing", "completed"]
    rest = await take(events.of_request(pool, bells, request_id, since=told[0].event_id), 2)
    assert rest == told[1:]


async def test_no_event_of_the_feed_is_lost_or_told_twice_under_concurrent_writers(
    pool: db.Pool, bells: Bells
) -> None:
    """Ids are drawn before commit: long transactions beside short ones reorder them."""
    start = await events.cursor(pool)
    writers, rounds = 8, 40

    async def write(number: int) -> None:
        async with pool.acquire() as connection:
            for turn in range(rounds):
                async with connection.transaction():
                    await connection.execute(
                        "INSERT INTO media_analysis_requests (media_path) VALUES ($1)",
                        f"/{number}/{turn}",
                    )
                    # Some hold their id for long before they commit.
                    if (number + turn) % 3 == 0:
                        await connection.execute("SELECT pg_sleep(0.01)")

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(take(events.feed(pool, bells, start), writers * rounds))
        for number in range(writers):
            group.create_task(write(number))
    told = [event.event_id for event in reading.result()]
    assert len(set(told)) == len(told)
    assert set(told) == {row[0] for row in await pool.fetch("SELECT event_id FROM mediaq.events")}


async def test_transactions_are_in_the_order_of_numbers_not_of_text(
    pool: db.Pool, bells: Bells
) -> None:
    ids = await pool.fetch(
        "INSERT INTO mediaq.events (xid, request_id, event, status, media_type, attempt)"
        " SELECT xid::text::xid8, gen_random_uuid(), 'pending', 'pending', 'auto', 0"
        "   FROM unnest(ARRAY[8, 9, 10, 11, 99, 100]) AS xid RETURNING event_id"
    )
    told = await take(events.feed(pool, bells, events.Cursor(0, 0)), 6)
    assert [event.event_id for event in told] == [row["event_id"] for row in ids]


async def test_the_feed_waits_for_an_older_transaction_and_then_goes_on(
    pool: db.Pool, bells: Bells, insert: Insert
) -> None:
    start = await events.cursor(pool)
    async with pool.acquire() as slow:
        transaction = slow.transaction()
        await transaction.start()
        await slow.execute("INSERT INTO media_analysis_requests (media_path) VALUES ('/slow')")
        quick_id = await insert(media_path="/quick")
        reading = asyncio.create_task(take(events.feed(pool, bells, start), 2))
        seen = await take(events.of_request(pool, bells, quick_id), 1)
        assert not reading.done()
        await transaction.commit()
    told = await reading
    assert {event.request_id for event in told} >= {quick_id}
    assert told[0].event_id < seen[0].event_id


async def test_the_feed_goes_on_behind_an_event_seen_before(
    pool: db.Pool, bells: Bells, insert: Insert
) -> None:
    ids = [await insert(media_path=f"/{number}") for number in range(5)]
    rows = await pool.fetch("SELECT event_id FROM mediaq.events ORDER BY event_id")
    start = await events.cursor(pool, since=rows[1]["event_id"])
    assert [event.request_id for event in await take(events.feed(pool, bells, start), 3)] == ids[2:]


async def test_a_pruned_event_is_no_obstacle_to_going_on(
    pool: db.Pool, bells: Bells, insert: Insert
) -> None:
    ids = [await insert(media_path=f"/{number}") for number in range(4)]
    rows = await pool.fetch("SELECT event_id FROM mediaq.events ORDER BY event_id")
    await pool.execute("DELETE FROM mediaq.events WHERE event_id = $1", rows[1]["event_id"])
    start = await events.cursor(pool, since=rows[1]["event_id"])
    assert [event.request_id for event in await take(events.feed(pool, bells, start), 2)] == ids[2:]


async def test_a_cut_listener_comes_back_and_misses_nothing(
    database: Database, pool: db.Pool, admin: asyncpg.Connection, insert: Insert
) -> None:
    async with events.bells(database) as bells:
        request_id = await insert(media_path="/x.mp4")
        happening = events.of_request(pool, bells, request_id)
        assert [event.event for event in await take(happening, 1)] == ["pending"]

        cut: list[asyncpg.Record] = []
        while not cut:
            cut = await admin.fetch(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE application_name = 'mediaq listen' AND datname = $1",
                database.address.rpartition("/")[2],
            )
        rest = asyncio.create_task(take(events.of_request(pool, bells, request_id, since=1), 2))
        request = await claim(pool, request_id)
        assert request is not None
        await store.complete(pool, request)
        assert [event.event for event in await rest] == ["processing", "completed"]
