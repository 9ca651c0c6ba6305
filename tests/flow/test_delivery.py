"""Webhooks with real receivers on loopback: what they are told, how often, and when it stops."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import procrastinate
import pytest
from aiohttp import test_utils, web
from pydantic import SecretStr
from standardwebhooks import Webhook

from mediaq import db, queue, store
from mediaq.delivery import KEPT_BYTES, Delivery, signers
from mediaq.settings import Database, Settings
from mediaq.views import Detail
from tests.conftest import Ended, Insert, claim, working

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LOOPBACK = "127.0.0.1"

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Call:
    headers: dict[str, str]
    body: str

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.body)
        return message


@dataclass
class Receiver:
    """Answers with ``answers`` one by one, then with 204; ``calls`` are what it heard."""

    url: str = ""
    answers: list[int | str | Answering] = field(default_factory=list)
    calls: asyncio.Queue[Call] = field(default_factory=asyncio.Queue)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.calls.put_nowait(
            Call(
                {name.lower(): value for name, value in request.headers.items()},
                await request.text(),
            )
        )
        answer = self.answers.pop(0) if self.answers else 204
        if isinstance(answer, int):
            return web.Response(status=answer)
        if isinstance(answer, str):
            return web.json_response({"code": 409, "message": answer}, status=409)
        return await answer(request)

    async def call(self) -> Call:
        async with asyncio.timeout(30):
            return await self.calls.get()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/hook", made.handle)
    async with test_utils.TestServer(app, host=LOOPBACK) as server:
        made.url = str(server.make_url("/hook"))
        yield made


@pytest.fixture(autouse=True)
def _quick_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeated calls are found by the poll."""
    monkeypatch.setattr(queue, "POLL_SECONDS", 0.05)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Loopback is allowed, calls are signed, and repetitions come soon."""
    return settings.model_copy(
        update={
            "fetch_allow": (LOOPBACK,),
            "webhook_secret": SecretStr(SECRET),
            "webhook_retry_delay": 0.01,
        }
    )


@pytest.fixture
def delivery(settings: Settings, pool: db.Pool) -> Delivery:
    """Deliveries without a worker: each test makes the attempts."""
    return Delivery(settings, pool, signers(settings))


async def fail(pool: db.Pool, request_id: UUID) -> int:
    """End a request and return the id of the event."""
    request = await claim(pool, request_id)
    assert request is not None
    await store.fail(pool, request, "broken", {})
    event_id: int = await pool.fetchval("SELECT max(event_id) FROM mediaq.events")
    return event_id


async def recorded(pool: db.Pool) -> list[asyncpg.Record]:
    return await pool.fetch("SELECT * FROM mediaq.deliveries ORDER BY event_id, attempt")


async def outcomes(pool: db.Pool) -> list[tuple[str, int | None]]:
    return [(row["outcome"], row["status_code"]) for row in await recorded(pool)]


async def jobs(pool: db.Pool) -> list[asyncpg.Record]:
    return await pool.fetch(
        "SELECT * FROM mediaq.procrastinate_jobs WHERE task_name = 'mediaq.deliver' ORDER BY id"
    )


# With a worker


async def test_each_kind_of_end_is_told_once_and_signed(
    settings: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    video: Path,
    receiver: Receiver,
) -> None:
    about = {"callback_url": receiver.url, "user_metadata": {"chat": [1, "ü"]}, "created_by": "me"}
    later = await insert(media_path="/later", media_type="video", **about)
    await pool.execute("UPDATE media_analysis_requests SET status = 'cancelled'")
    async with working(settings, database):
        done = await insert(media_path=str(video), **about)
        wrong = await insert(media_path="/missing", **about)
        calls = [await receiver.call() for _ in range(3)]
    assert receiver.calls.empty()
    for call in calls:
        assert Webhook(SECRET).verify(call.body, call.headers) == call.message
        assert call.headers["content-type"] == "application/json"
        assert call.message.keys() == {"type", "timestamp", "data"}
        assert call.message["data"]["user_metadata"] == {"chat": [1, "ü"]}
        assert call.message["data"]["created_by"] == "me"
    assert len({call.id for call in calls}) == 3
    told = {call.message["data"]["request_id"]: call.message for call in calls}
    assert told.keys() == {str(later), str(done), str(wrong)}
    message = told[str(done)]
    assert (message["type"], message["data"]["status"]) == ("request.completed", "completed")
    assert (message["data"]["media_type"], message["data"]["attempt"]) == ("video", 1)
    assert message["data"]["processing_time_ms"] > 0
    assert message["data"]["error_message"] is None
    message = told[str(wrong)]
    assert (message["type"], message["data"]["status"]) == ("request.failed", "failed")
    assert "not a file below the media roots" in message["data"]["error_message"]
    message = told[str(later)]
    assert (message["type"], message["data"]["attempt"]) == ("request.cancelled", 0)
    assert message["data"]["media_path"] == "/later"
    assert await outcomes(pool) == [("delivered", 204)] * 3
    assert await jobs(pool) == []
    text = await store.detail(pool, done)
    assert text is not None
    assert [call.outcome for call in Detail.model_validate_json(text).deliveries] == ["delivered"]


async def test_a_call_that_fails_is_repeated_under_the_same_id(
    settings: Settings, database: Database, pool: db.Pool, insert: Insert, receiver: Receiver
) -> None:
    receiver.answers = [500, 404, 'The execution "7" is running already.', 302]
    async with working(settings, database):
        await insert(media_path="/missing", callback_url=receiver.url)
        calls = [await receiver.call() for _ in range(5)]
    assert len({call.id for call in calls}) == 1
    assert len({call.body for call in calls}) == 1
    for call in calls:
        Webhook(SECRET).verify(call.body, call.headers)
    assert await outcomes(pool) == [
        *[("retried", 500), ("retried", 404), ("retried", 409), ("retried", 302)],
        ("delivered", 204),
    ]
    rows = await recorded(pool)
    assert rows[0]["error"] == "the receiver answered 500"
    assert "running already" in rows[2]["response"]
    assert rows[3]["error"] == "the receiver answered 302; redirects are not followed"
    assert [row["attempt"] for row in rows] == [1, 2, 3, 4, 5]


async def test_asking_again_delivers_the_next_end_under_another_id(
    settings: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    receiver: Receiver,
) -> None:
    async with working(settings, database):
        await insert(media_path="/missing", callback_url=receiver.url)
        first = await receiver.call()
        await pool.execute("UPDATE media_analysis_requests SET status = 'pending'")
        second = await receiver.call()
    assert first.id != second.id
    assert [call.message["data"]["attempt"] for call in (first, second)] == [1, 2]
    assert await outcomes(pool) == [("delivered", 204)] * 2


async def test_a_call_that_a_stopping_worker_broke_off_is_made_again(
    settings: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queue, "RETRY_DELAYS", procrastinate.RetryStrategy(max_attempts=20))
    over = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        await over.wait()
        return web.Response()

    receiver.answers = [hang]
    async with working(settings.model_copy(update={"drain_timeout": 0}), database):
        await insert(media_path="/missing", callback_url=receiver.url)
        broken = await receiver.call()
    over.set()
    assert await recorded(pool) == []
    async with working(settings, database):
        assert (await receiver.call()).id == broken.id
    assert await outcomes(pool) == [("delivered", 204)]


# One attempt


async def test_what_may_be_called_is_what_may_be_fetched(
    settings: Settings, pool: db.Pool, insert: Insert, receiver: Receiver
) -> None:
    strict = Delivery(settings.model_copy(update={"fetch_allow": ()}), pool, ())
    event_id = await fail(pool, await insert(media_path="/x", callback_url=receiver.url))
    await strict.deliver(event_id, 1)
    assert receiver.calls.empty()
    (row,) = await recorded(pool)
    assert (row["outcome"], row["status_code"]) == ("stopped", None)
    assert row["error"] == (
        "callback_url leads to 127.0.0.1, an address that is not allowed (MEDIAQ_FETCH_ALLOW)"
    )
    assert len(await jobs(pool)) == 1


async def test_no_redirect_is_followed_not_even_to_an_allowed_address(
    delivery: Delivery, pool: db.Pool, insert: Insert, receiver: Receiver
) -> None:
    async def elsewhere(_: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": receiver.url})

    receiver.answers = [elsewhere]
    await delivery.deliver(
        await fail(pool, await insert(media_path="/x", callback_url=receiver.url)), 1
    )
    assert receiver.calls.qsize() == 1
    assert await outcomes(pool) == [("retried", 307)]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (200, ("delivered", 200)),
        (410, ("stopped", 410)),
        (400, ("retried", 400)),
        (503, ("retried", 503)),
        ('The execution "7" has finished already.', ("delivered", 409)),
        ('The execution "7" is running already.', ("retried", 409)),
        ("busy", ("retried", 409)),
    ],
)
async def test_an_answer_ends_the_delivery_or_brings_it_back(
    delivery: Delivery,
    pool: db.Pool,
    insert: Insert,
    receiver: Receiver,
    answer: int | str,
    outcome: tuple[str, int],
) -> None:
    receiver.answers = [answer]
    event_id = await fail(pool, await insert(media_path="/x", callback_url=receiver.url))
    await delivery.deliver(event_id, 1)
    assert await outcomes(pool) == [outcome]
    queued = [job["args"] for job in await jobs(pool)]
    again = [{"event_id": event_id, "attempt": 2}] if outcome[0] == "retried" else []
    assert queued == [{"event_id": event_id, "attempt": 1}, *again]


async def test_a_receiver_may_say_when_to_come_back(
    delivery: Delivery, pool: db.Pool, insert: Insert, receiver: Receiver
) -> None:
    async def later(_: web.Request) -> web.StreamResponse:
        return web.Response(status=429, headers={"Retry-After": "3600"})

    receiver.answers = [later]
    await delivery.deliver(
        await fail(pool, await insert(media_path="/x", callback_url=receiver.url)), 1
    )
    wait = "SELECT extract(epoch FROM next_at - started_at) FROM mediaq.deliveries"
    assert 3590 < await pool.fetchval(wait) < 3610
    (_, again) = await jobs(pool)
    assert again["scheduled_at"] == (await recorded(pool))[0]["next_at"]


async def test_calls_are_given_up_when_their_time_is_over(
    delivery: Delivery, pool: db.Pool, insert: Insert, receiver: Receiver
) -> None:
    receiver.answers = [500]
    event_id = await fail(pool, await insert(media_path="/x", callback_url=receiver.url))
    await pool.execute("UPDATE mediaq.events SET at = at - interval '25 hours'")
    await delivery.deliver(event_id, 1)
    assert await outcomes(pool) == [("given_up", 500)]
    assert len(await jobs(pool)) == 1


async def test_only_the_beginning_of_an_answer_is_read(
    delivery: Delivery, pool: db.Pool, insert: Insert, receiver: Receiver
) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"\0ab" * 10_000)
        except ConnectionError:
            return response

    receiver.answers = [endless]
    await delivery.deliver(
        await fail(pool, await insert(media_path="/x", callback_url=receiver.url)), 1
    )
    (row,) = await recorded(pool)
    assert row["outcome"] == "delivered"
    assert row["response"].startswith("abab")
    assert len(row["response"]) <= KEPT_BYTES


async def test_a_call_as_a_whole_has_a_time_limit(
    settings: Settings, pool: db.Pool, insert: Insert, receiver: Receiver
) -> None:
    over = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        await over.wait()
        return web.Response()

    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"taken")
        await over.wait()
        return response

    quick = Delivery(settings.model_copy(update={"webhook_timeout": 0.2}), pool, ())
    receiver.answers = [hang, stall]
    for _ in range(2):
        await quick.deliver(
            await fail(pool, await insert(media_path="/x", callback_url=receiver.url)), 1
        )
    over.set()
    hung, stalled = await recorded(pool)
    assert (hung["outcome"], hung["error"]) == ("retried", "no answer within 0.2 s")
    # The status came: that is what counts.
    assert (stalled["outcome"], stalled["response"]) == ("delivered", "taken")


@pytest.mark.parametrize(
    ("url", "outcome", "error"),
    [
        ("http://127.0.0.1:1/", "retried", "no connection to 127.0.0.1:1 (Connection refused)"),
        ("http://h:99999/", "stopped", "callback_url is not a usable http(s) address"),
        ("http://[::1", "stopped", "callback_url is not a usable http(s) address"),
        (
            "http://①②⑦.0.0.2/",
            "stopped",
            "callback_url leads to 127.0.0.2, an address that is not allowed (MEDIAQ_FETCH_ALLOW)",
        ),
    ],
)
async def test_an_address_that_does_not_answer_is_told_in_words(
    delivery: Delivery, pool: db.Pool, insert: Insert, url: str, outcome: str, error: str
) -> None:
    await delivery.deliver(await fail(pool, await insert(media_path="/x", callback_url=url)), 1)
    (row,) = await recorded(pool)
    assert row["outcome"] == outcome
    assert row["error"].startswith(error)


async def test_the_record_of_a_call_holds_no_password(
    delivery: Delivery, pool: db.Pool, insert: Insert, receiver: Receiver
) -> None:
    url = receiver.url.replace("http://", "http://me:hunter2@")
    await delivery.deliver(await fail(pool, await insert(media_path="/x", callback_url=url)), 1)
    call = await receiver.call()
    assert call.headers["authorization"].startswith("Basic ")
    assert (await recorded(pool))[0]["url"] == receiver.url


async def test_an_attempt_that_was_made_is_not_made_again(
    delivery: Delivery, pool: db.Pool, insert: Insert, receiver: Receiver
) -> None:
    receiver.answers = [500]
    event_id = await fail(pool, await insert(media_path="/x", callback_url=receiver.url))
    await delivery.deliver(event_id, 1)
    await delivery.deliver(event_id, 1)
    assert receiver.calls.qsize() == 1
    assert len(await jobs(pool)) == 2


@pytest.mark.parametrize(
    "change",
    ["DELETE FROM media_analysis_requests", "UPDATE media_analysis_requests SET callback_url = ''"],
)
async def test_a_delivery_whose_request_is_gone_ends_quietly(
    delivery: Delivery, pool: db.Pool, insert: Insert, receiver: Receiver, change: str
) -> None:
    event_id = await fail(pool, await insert(media_path="/x", callback_url=receiver.url))
    await pool.execute(change)
    await delivery.deliver(event_id, 1)
    assert receiver.calls.empty()
    assert await recorded(pool) == []


async def test_a_request_that_is_deleted_during_the_call_leaves_no_record(
    delivery: Delivery, pool: db.Pool, insert: Insert, receiver: Receiver
) -> None:
    async def delete(_: web.Request) -> web.StreamResponse:
        await pool.execute("DELETE FROM media_analysis_requests")
        return web.Response(status=500)

    receiver.answers = [delete]
    event_id = await fail(pool, await insert(media_path="/x", callback_url=receiver.url))
    await delivery.deliver(event_id, 1)
    assert await recorded(pool) == []
    assert len(await jobs(pool)) == 1


async def test_an_older_end_is_still_told_after_its_request_was_asked_again(
    delivery: Delivery, pool: db.Pool, insert: Insert, receiver: Receiver, ended: Ended
) -> None:
    event_id = await fail(pool, await insert(media_path="/x", callback_url=receiver.url))
    await pool.execute("UPDATE media_analysis_requests SET status = 'pending'")
    await delivery.deliver(event_id, 1)
    data = (await receiver.call()).message["data"]
    assert (data["status"], data["error_message"]) == ("failed", "broken")
    assert data["processing_time_ms"] is None


# What is queued


async def test_only_ends_with_a_callback_queue_a_delivery_and_only_when_committed(
    pool: db.Pool, receiver: Receiver
) -> None:
    await pool.execute(
        "INSERT INTO media_analysis_requests (media_path, callback_url) SELECT '/' || n,"
        " CASE WHEN n % 2 = 0 THEN 'http://h.example/' || n END FROM generate_series(1, 10) n"
    )
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("UPDATE media_analysis_requests SET status = 'cancelled'")
        await transaction.rollback()
    assert await jobs(pool) == []
    await pool.execute("UPDATE media_analysis_requests SET status = 'processing'")
    assert await jobs(pool) == []
    await pool.execute("UPDATE media_analysis_requests SET status = 'cancelled'")
    queued = await jobs(pool)
    assert len(queued) == 5
    assert {(job["queue_name"], job["args"]["attempt"]) for job in queued} == {("webhooks", 1)}
    await pool.execute("UPDATE media_analysis_requests SET status = 'cancelled'")
    assert len(await jobs(pool)) == 5
    assert all(job["priority"] > 1000 for job in queued)
