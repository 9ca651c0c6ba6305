"""One key, one request: by SQL, by HTTP, and by forty clients at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiohttp import ClientResponse

from mediaq import db, store
from mediaq.events import Bells
from mediaq.model import Made
from tests.conftest import Insert, claim
from tests.flow.test_api import Client, problem, serving

BODY = {
    "media_path": "a.mp4",
    "prompt": "what?",
    "options": {"grid": "4x6"},
    "user_metadata": {"a": [1]},
    "run_after": "2030-01-01T00:00:00+01:00",
}


@pytest.fixture
async def api(pool: db.Pool, bells: Bells) -> AsyncIterator[Client]:
    async with serving(pool, bells) as client:
        yield client


async def post(
    api: Client, body: dict[str, Any], key: str | None = "k1", route: str = "analyze", **more: str
) -> ClientResponse:
    headers = more if key is None else {"Idempotency-Key": key} | more
    return await api.post(f"/api/media/{route}", json=body, headers=headers)


async def accepted(response: ClientResponse, *, replayed: bool, status: int = 202) -> UUID:
    assert response.status == status, await response.text()
    assert response.headers.get("Idempotent-Replayed") == ("true" if replayed else None)
    answer = await response.json()
    assert "replayed" not in answer
    assert response.headers["Location"] == f"/api/media/status/{answer['request_id']}"
    return UUID(answer["request_id"])


async def count(pool: db.Pool, table: str = "media_analysis_requests") -> int:
    number: int = await pool.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - of this test
    return number


async def test_the_same_key_and_body_is_the_same_request(api: Client, pool: db.Pool) -> None:
    first = await accepted(await post(api, BODY), replayed=False)
    assert await accepted(await post(api, BODY), replayed=True) == first
    # In whatever spelling: quoted as the header's draft says, in the body, in another order.
    assert await accepted(await post(api, BODY, '"k1"'), replayed=True) == first
    spelt = dict(reversed(BODY.items())) | {"idempotency_key": "k1", "created_by": None}
    assert await accepted(await post(api, spelt, None), replayed=True) == first
    assert await accepted(await post(api, spelt), replayed=True) == first
    assert await count(pool) == await count(pool, "mediaq.procrastinate_jobs") == 1
    assert await count(pool, "mediaq.events") == 1


async def test_forty_posts_at_once_with_one_key_are_one_request(api: Client, pool: db.Pool) -> None:
    answers = await asyncio.gather(*(post(api, BODY) for _ in range(40)))
    ids = {(await answer.json())["request_id"] for answer in answers}
    assert {answer.status for answer in answers} == {202}
    assert len(ids) == 1
    fresh = [answer for answer in answers if "Idempotent-Replayed" not in answer.headers]
    assert len(fresh) == 1
    assert await count(pool) == await count(pool, "mediaq.procrastinate_jobs") == 1


@pytest.mark.parametrize(
    "change",
    [
        {"media_path": "b.mp4"},
        {"media_url": "http://h.example/"},
        {"media_type": "video"},
        {"prompt": "why?"},
        {"prompt": None},
        {"options": {"grid": "4x5"}},
        {"user_metadata": {"a": [2]}},
        {"priority": 1},
        {"run_after": "2030-01-01T00:00:00+02:00"},
        {"callback_url": "http://h.example/"},
    ],
)
async def test_the_same_key_with_another_body_is_refused(
    api: Client, pool: db.Pool, change: dict[str, Any]
) -> None:
    await accepted(await post(api, BODY), replayed=False)
    answer = await problem(await post(api, BODY | change), 422)
    assert answer["detail"].startswith("this idempotency key was used for another request")
    assert await count(pool) == 1


async def test_a_key_belongs_to_whoever_made_it(api: Client, pool: db.Pool) -> None:
    bodies = [BODY, BODY | {"created_by": "a"}, BODY | {"created_by": "b"}]
    ids = {await accepted(await post(api, body), replayed=False) for body in bodies}
    assert len(ids) == 3
    assert await accepted(await post(api, bodies[2]), replayed=True) in ids


async def test_work_on_a_request_does_not_change_what_was_asked(api: Client, pool: db.Pool) -> None:
    body = {"media_path": "a.mp4"}
    request_id = await accepted(await post(api, body), replayed=False)
    request = await claim(pool, request_id)
    assert request is not None
    async with pool.acquire() as connection, connection.transaction():
        await store.record_step(connection, request, "metadata", Made(), 1, "video")
    await store.retry(pool, request, "broken", {}, 0)
    answer = await post(api, body)
    assert await accepted(answer, replayed=True) == request_id
    assert (await answer.json())["status"] == "pending"
    # The key goes on over other routes, when what they ask is the same.
    video = await post(api, {"video_path": "v.mp4"}, "k2", route="video")
    again = await post(api, {"media_path": "v.mp4", "media_type": "video"}, "k2")
    assert await accepted(again, replayed=True) == await accepted(video, replayed=False)


async def test_a_replay_may_wait_for_the_end_and_not_for_an_older_one(
    api: Client, pool: db.Pool
) -> None:
    body = {"media_path": "a.mp4"}
    request_id = await accepted(await post(api, body), replayed=False)
    await pool.execute("UPDATE media_analysis_requests SET status = 'cancelled'")
    ended = await post(api, body, Prefer="wait=30")
    assert await accepted(ended, replayed=True, status=200) == request_id
    assert (await ended.json())["status"] == "cancelled"

    await pool.execute("UPDATE media_analysis_requests SET status = 'pending'")
    waiting = asyncio.create_task(post(api, body, Prefer="wait=30"))
    request = await claim(pool, request_id)
    assert request is not None
    await store.complete(pool, request)
    assert (await (await waiting).json())["status"] == "completed"


async def test_without_a_key_every_post_is_a_request(api: Client, pool: db.Pool) -> None:
    for _ in range(2):
        await accepted(await post(api, BODY, None), replayed=False)
    assert await count(pool) == 2


async def test_a_key_that_is_none_is_refused(api: Client, pool: db.Pool) -> None:
    for key in ("", '""', "ü"):
        answer = await problem(await post(api, BODY, key), 400)
        assert "Idempotency-Key must be one text" in answer["detail"]
    await problem(await post(api, BODY, "k" * 256), 422)
    both = await problem(await post(api, BODY | {"idempotency_key": "other"}), 422)
    assert "not two different keys" in both["detail"]
    assert await count(pool) == 0


async def test_sql_clients_say_on_conflict_do_nothing(
    api: Client, pool: db.Pool, insert: Insert
) -> None:
    statement = (
        "INSERT INTO media_analysis_requests (media_path, idempotency_key) VALUES ('a.mp4', 'k1')"
    )
    for _ in range(2):
        await pool.execute(f"{statement} ON CONFLICT DO NOTHING")
    assert await count(pool) == await count(pool, "mediaq.procrastinate_jobs") == 1
    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.execute(statement)
    # The key is the same whichever way it came.
    await accepted(await post(api, {"media_path": "a.mp4"}), replayed=True)
