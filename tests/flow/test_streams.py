"""Server-sent events: told as they happen, gone on from where they were left, never in the way."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from mediaq import db, events, store
from mediaq.api import hub, streams
from mediaq.events import Bells
from tests.conftest import Insert, claim
from tests.listeners import Listener, Served, served

ALL = "/api/media/events"


@pytest.fixture
async def api(pool: db.Pool, bells: Bells) -> AsyncIterator[Served]:
    async with served(pool, bells) as opened:
        yield opened


def one(request_id: UUID, query: str = "") -> str:
    return f"/api/media/{request_id}/events{query}"


def names(told: list[dict[str, str]]) -> list[str]:
    return [event["event"] for event in told]


async def happen(pool: db.Pool, count: int, *, event: str = "progress", error: str = "") -> None:
    """Write events of requests of their own, each in its own transaction."""
    for _ in range(count):
        await pool.execute(
            "INSERT INTO mediaq.events (request_id, event, status, media_type, attempt, error)"
            " VALUES (gen_random_uuid(), $1, 'processing', 'video', 1, $2)",
            event,
            error,
        )


async def in_order(pool: db.Pool) -> list[str]:
    """Every event of the feed by its id."""
    rows = await pool.fetch("SELECT event_id FROM mediaq.events ORDER BY xid, event_id")
    return [str(row["event_id"]) for row in rows]


# What is told


async def test_events_are_told_with_the_fields_of_a_bell(api: Served, insert: Insert) -> None:
    async with api.listening() as listener:
        request_id = await insert(media_path="/x.mp4", media_type="video")
        (told,) = await listener.take(1)
        headers = listener.response.headers
    assert headers["Content-Type"] == "text/event-stream"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Accel-Buffering"] == "no"
    assert 1000 <= listener.retry <= 3000
    assert list(told) == [
        *("v", "event_id", "request_id", "event", "status", "media_type", "attempt", "at"),
        *("error", "data"),
    ]
    assert (told["v"], told["request_id"], told["event"]) == (1, str(request_id), "pending")
    assert (told["status"], told["media_type"], told["data"]) == ("pending", "video", {})


async def test_a_stream_begins_now(api: Served, insert: Insert) -> None:
    await insert(media_path="/before.mp4")
    async with api.listening() as listener:
        after = await insert(media_path="/after.mp4")
        assert (await listener.take(1))[0]["request_id"] == str(after)


async def test_the_stream_of_a_request_begins_at_its_beginning_and_ends_with_it(
    api: Served, pool: db.Pool, insert: Insert
) -> None:
    request_id = await insert(media_path="/x.mp4")
    await insert(media_path="/other.mp4")
    async with api.listening(one(request_id)) as listener:
        assert names(await listener.take(1)) == ["pending"]
        request = await claim(pool, request_id)
        assert request is not None
        assert names(await listener.take(1)) == ["processing"]
        await store.fail(pool, request, "broken", {})
        assert names(await listener.rest()) == ["failed"]
    assert listener.told[-1]["error"] == "broken"

    # A browser comes back after an end; by this it stays away.
    headers = {"Last-Event-ID": listener.last}
    async with api.session.get(api.url + one(request_id), headers=headers) as response:
        assert (response.status, await response.read()) == (204, b"")
    # Who did not see the end is told.
    async with api.listening(one(request_id), last=f"0-{listener.told[0]['event_id']}") as again:
        assert names(await again.rest()) == ["processing", "failed"]


async def test_a_request_that_is_asked_again_goes_on(
    api: Served, pool: db.Pool, insert: Insert
) -> None:
    request_id = await insert(media_path="/x.mp4")
    change = "UPDATE media_analysis_requests SET status = $1"
    await pool.execute(change, "cancelled")
    await pool.execute(change, "pending")
    async with api.listening(one(request_id)) as listener:
        assert names(await listener.take(3)) == ["pending", "cancelled", "pending"]
        await pool.execute(change, "cancelled")
        assert names(await listener.rest()) == ["cancelled"]
    await pool.execute(change, "pending")
    async with api.listening(one(request_id), last=listener.last) as again:
        assert names(await again.take(1)) == ["pending"]


async def test_the_stream_of_a_request_ends_with_its_deletion(
    api: Served, pool: db.Pool, insert: Insert
) -> None:
    request_id = await insert(media_path="/x.mp4")
    async with api.listening(one(request_id)) as listener:
        await listener.take(1)
        seen = listener.last
        await pool.execute("DELETE FROM media_analysis_requests")
        assert names(await listener.rest()) == ["deleted"]
    # Who was cut off before hears of it all the same; who is new finds nothing.
    async with api.listening(one(request_id), last=seen) as again:
        assert names(await again.rest()) == ["deleted"]
    for headers, status in (({"Last-Event-ID": again.last}, 204), ({}, 404)):
        async with api.session.get(api.url + one(request_id), headers=headers) as response:
            assert response.status == status


async def test_a_stream_is_narrowed_to_kinds_of_events_and_of_media(
    api: Served, pool: db.Pool, insert: Insert
) -> None:
    wanted = f"{ALL}?event=cancelled,failed&media_type=video,audio"
    async with api.listening(wanted) as listener, api.listening() as everything:
        for kind in ("video", "document", "audio", "auto"):
            await insert(media_path="/x", media_type=kind)
            await pool.execute("UPDATE media_analysis_requests SET status = 'cancelled'")
        told = await listener.take(2)
        assert len(await everything.take(8)) == 8
    assert [(event["event"], event["media_type"]) for event in told] == [
        ("cancelled", "video"),
        ("cancelled", "audio"),
    ]


# Going on


async def test_a_listener_goes_on_where_it_was_cut_off(
    api: Served, pool: db.Pool, insert: Insert
) -> None:
    async with api.listening() as listener:
        pass
    # It had seen nothing but where it began.
    ids = [str(await insert(media_path=f"/{number}")) for number in range(5)]
    async with api.listening(last=listener.last) as again:
        assert [event["request_id"] for event in await again.take(2)] == ids[:2]
    async with api.listening(last=again.last) as third:
        assert [event["request_id"] for event in await third.take(3)] == ids[2:]
    # The query is for whoever cannot send headers; what was seen last goes before it.
    event_id = third.told[0]["event_id"]
    async with api.listening(f"{ALL}?since={event_id}") as by_number:
        assert [event["request_id"] for event in await by_number.take(2)] == ids[3:]
    async with api.listening(f"{ALL}?since={again.last}") as by_place:
        assert [event["request_id"] for event in await by_place.take(3)] == ids[2:]
    async with api.listening(f"{ALL}?since=0", last=by_number.told[0]["event_id"]) as both:
        assert [event["request_id"] for event in await both.take(1)] == ids[4:]


async def test_a_place_of_another_database_is_now(api: Served, pool: db.Pool) -> None:
    async with api.listening(last="18446744073709551615-9223372036854775807") as listener:
        await happen(pool, 1)
        assert len(await listener.take(1)) == 1


async def test_nothing_is_lost_and_nothing_told_twice_under_concurrent_writers(
    api: Served, pool: db.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams that stay, that come and go, and that fall behind what is kept, all tell the same."""
    monkeypatch.setattr(hub, "KEPT", 7)
    monkeypatch.setattr(hub, "CHUNK", 3)
    writers, rounds = 8, 30
    total = writers * rounds

    async def write(number: int) -> None:
        for turn in range(rounds):
            async with pool.acquire() as connection, connection.transaction():
                await happen(connection, 1)  # type: ignore[arg-type]
                # Some hold their id for long before they commit.
                if (number + turn) % 3 == 0:
                    await connection.execute("SELECT pg_sleep(0.01)")

    async def come_and_go(last: str, steps: int) -> list[str]:
        told: list[str] = []
        while len(told) < total:
            async with api.listening(last=last) as listener:
                await listener.take(min(steps, total - len(told)))
            last = listener.last
            told += [event["event_id"] for event in listener.told]
        return told

    async def stay(listener: Listener) -> list[str]:
        return [event["event_id"] for event in await listener.take(total)]

    async with (
        api.listening() as first,
        api.listening() as second,
        asyncio.TaskGroup() as group,
    ):
        readings = [
            group.create_task(stay(first)),
            *(group.create_task(come_and_go(first.last, steps)) for steps in (1, 2, 5, 30)),
        ]
        for number in range(writers):
            group.create_task(write(number))
        # One takes everything at the end, from where it began.
        await asyncio.wait(readings)
        readings.append(group.create_task(stay(second)))
    expected = await in_order(pool)
    assert len(expected) == total
    for reading in readings:
        assert reading.result() == expected


async def test_a_stream_of_a_request_tells_each_of_many_events_once(
    api: Served, pool: db.Pool, insert: Insert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "CHUNK", 3)
    request_id = await insert(media_path="/x.mp4")
    async with api.listening(one(request_id)) as listener:
        for number in range(1, 21):
            for status in ("processing", "pending"):
                await pool.execute("UPDATE media_analysis_requests SET status = $1", status)
            if number % 7 == 0:
                await listener.take(5)
        await pool.execute("DELETE FROM media_analysis_requests")
        await listener.rest()
    assert [event["event_id"] for event in listener.told] == await in_order(pool)


# Refusals


@pytest.mark.parametrize(
    "last", ["x", "1-", "-1", "1-2-3", "1 2", "٣-٤", f"{2**64}-1", f"1-{2**63}"]
)
async def test_what_is_no_place_is_refused(api: Served, last: str) -> None:
    async with api.session.get(api.url + ALL, params={"since": last}) as response:
        answer = await response.json()
    assert response.status == 422
    assert "such as 1234-56" in answer["detail"]
    assert answer["errors"][0]["pointer"] == "/since"
    if last.isascii():
        async with api.session.get(api.url + ALL, headers={"Last-Event-ID": last}) as response:
            answer = await response.json()
        assert response.status == 422
        assert answer["errors"][0]["pointer"] == "/Last-Event-ID"


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        (f"{ALL}?event=done", 422, "'completed'"),
        (f"{ALL}?media_type=film", 422, "'video'"),
        (f"{ALL}?events=failed", 422, "did you mean event?"),
        (one(UUID(int=1)), 404, "no request has the id"),
        (one(UUID(int=1), "?since=1"), 404, "no request has the id"),
        (one(UUID(int=1), "?event=failed"), 422, "unknown"),
        ("/api/media/film/events", 404, "an id is a UUID"),
    ],
)
async def test_a_stream_of_what_there_is_not_is_refused(
    api: Served, path: str, status: int, words: str
) -> None:
    async with api.session.get(api.url + path) as response:
        assert response.content_type == "application/problem+json"
        answer = await response.json()
    assert response.status == status
    assert words in answer["detail"]


async def test_a_head_is_answered_at_once(api: Served, insert: Insert) -> None:
    for path in (ALL, one(await insert(media_path="/x.mp4"))):
        async with api.session.head(api.url + path) as response:
            assert response.status == 200
            assert response.content_type == "text/event-stream"
            assert await response.read() == b""


async def test_there_are_no_more_streams_than_allowed_and_who_leaves_makes_room(
    pool: db.Pool, bells: Bells, insert: Insert
) -> None:
    request_id = await insert(media_path="/x.mp4")
    async with served(pool, bells, max_streams=2) as api, api.listening(one(request_id)):
        async with api.listening():
            for path in (ALL, one(request_id)):
                async with api.session.get(api.url + path) as response:
                    assert response.status == 503
                    assert int(response.headers["Retry-After"]) > 0
                    assert "MEDIAQ_MAX_STREAMS" in (await response.json())["detail"]
        async with asyncio.timeout(10):
            status = 503
            while status == 503:
                async with api.session.head(api.url + ALL) as response:
                    status = response.status
        assert status == 200


# Many, slow, silent


async def test_who_follows_the_same_is_told_from_one_reading(
    api: Served, pool: db.Pool, insert: Insert, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = await insert(media_path="/x.mp4")
    asked: list[int] = []
    real = events.of_requests

    async def counted(
        pool: db.Pool, behind: list[tuple[UUID, int]], limit: int
    ) -> list[list[events.Told]]:
        asked.append(len(behind))
        return await real(pool, behind, limit)

    crowd = 100
    async with AsyncExitStack() as stack:
        of_one, of_all = [
            [await stack.enter_async_context(api.listening(path)) for _ in range(crowd)]
            for path in (one(request_id), ALL)
        ]
        for listener in of_one:
            await listener.take(1)
        monkeypatch.setattr(events, "of_requests", counted)
        await pool.execute("UPDATE media_analysis_requests SET status = 'processing'")
        for listener in of_one + of_all:
            assert names(await listener.take(1)) == ["processing"]
        listening = await pool.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'mediaq listen' AND datname = current_database()"
        )
    assert listening == 1
    # All of them asked the same question, together.
    assert set(asked) == {1}
    assert len(asked) < crowd / 5


async def test_a_client_that_takes_nothing_is_cut_and_holds_up_nobody(
    pool: db.Pool, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "SLOW_SECONDS", 0.5)
    async with served(pool, bells, max_streams=2) as api, api.listening() as listener:
        address = urlsplit(api.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1)
        writer.write(f"GET {ALL} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert await reader.read(4) == b"HTTP"
        # It reads no more, and takes one of two places until it is cut.
        status = 503
        async with asyncio.timeout(60):
            while status == 503:
                await happen(pool, 20, error="x" * 50_000)
                await listener.take(20)
                async with api.session.head(api.url + ALL) as response:
                    status = response.status
        assert status == 200
        writer.transport.abort()
        assert [event["event_id"] for event in listener.told] == await in_order(pool)


async def test_a_silent_stream_shows_that_it_lives(
    api: Served, pool: db.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.1)
    async with api.listening() as listener, api.listening(f"{ALL}?event=failed") as narrow:
        assert await listener.block() == {"": ""}
        assert await listener.block() == {"": ""}
        await happen(pool, 3)
        await listener.take(3)
        # Nothing for this one, but when it is cut off it need not look through that again.
        async with asyncio.timeout(10):
            while narrow.last != listener.last:
                await narrow.block()
        await happen(pool, 1, event="failed")
        assert names(await narrow.take(1)) == ["failed"]


async def test_a_server_that_stops_ends_its_streams_at_once(
    pool: db.Pool, bells: Bells, insert: Insert
) -> None:
    request_id = await insert(media_path="/x.mp4")
    async with (
        served(pool, bells) as api,
        api.listening() as listener,
        api.listening(one(request_id)) as of_one,
    ):
        assert names(await of_one.take(1)) == ["pending"]
        began = time.monotonic()
        api.stop.set()
        assert await listener.rest() == await of_one.rest() == []
        assert time.monotonic() - began < 5


async def test_a_stream_whose_events_cannot_be_read_ends_and_its_reason_is_logged(
    api: Served, pool: db.Pool, insert: Insert
) -> None:
    request_id = await insert(media_path="/x.mp4")
    with capture_logs() as logs:
        async with api.listening() as listener, api.listening(one(request_id)) as of_one:
            await of_one.take(1)
            await pool.execute("ALTER TABLE mediaq.events RENAME TO elsewhere")
            await pool.execute(
                "SELECT pg_notify('mediaq_events', $1)", json.dumps({"request_id": str(request_id)})
            )
            assert await listener.rest() == await of_one.rest() == []
    assert [entry["event"] for entry in logs] == ["stream.failed"] * 2
    await pool.execute("ALTER TABLE mediaq.elsewhere RENAME TO events")
    async with api.listening(last=listener.last) as again:
        await happen(pool, 1)
        assert len(await again.take(1)) == 1


async def test_a_request_is_accepted_also_when_its_client_does_not_wait_for_the_answer(
    api: Served, pool: db.Pool, bells: Bells
) -> None:
    address, body = urlsplit(api.url), b'{"media_path": "/x.mp4"}'
    head = f"POST /api/media/analyze HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with bells.waiter() as rung:
        async with asyncio.timeout(30), pool.acquire() as connection:
            async with connection.transaction():
                await connection.execute("LOCK TABLE media_analysis_requests IN EXCLUSIVE MODE")
                _, writer = await asyncio.open_connection(address.hostname, address.port)
                writer.write(head.encode() + body)
                while not await pool.fetchval(waiting):
                    pass
                writer.transport.abort()
                for _ in range(3):
                    # Answered later than the server heard that the client is gone.
                    async with api.session.get(f"{api.url}/api/media/film") as response:
                        assert response.status == 404
            while not await pool.fetchval("SELECT count(*) FROM media_analysis_requests"):
                await rung.wait()
                rung.clear()
