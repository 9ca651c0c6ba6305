"""A client's open transaction holds a request's row: no slot waits for it, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from mediaq import db, queue, recovery, store
from mediaq import worker as workers
from mediaq.crowd import Crowd
from mediaq.media.local import LocalMedia
from mediaq.settings import Database, Settings
from mediaq.views import Detail
from tests.conftest import Ended, Insert, working


@pytest.fixture
def single(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """One slot: whatever stalls it stalls everything."""
    monkeypatch.setattr(workers, "LOCK_SECONDS", 0.2)
    monkeypatch.setattr(queue, "POLL_SECONDS", 0.2)
    return settings.model_copy(update={"concurrency": 1, "heartbeat": 0.2})


@asynccontextmanager
async def held(
    database: Database, *ids: UUID, lock: str = "FOR UPDATE"
) -> AsyncIterator[asyncpg.Connection]:
    """A client's open transaction that holds these rows; it is committed at the end."""
    client = await asyncpg.connect(database.dsn.get_secret_value())
    try:
        async with client.transaction():
            await client.execute(
                f"SELECT FROM media_analysis_requests WHERE request_id = ANY ($1) {lock}",
                list(ids),
            )
            yield client
    finally:
        await client.close()


async def read(pool: db.Pool, request_id: UUID) -> Detail:
    text = await store.detail(pool, request_id)
    assert text is not None
    return Detail.model_validate_json(text)


class Gate:
    """Stops the worker at a place until a client's transaction is open."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go = asyncio.Event()
        self.passed = 0

    def before(self, work: Callable[..., Any]) -> Callable[..., Any]:
        async def wait(*args: Any, **named: Any) -> Any:
            self.passed += 1
            self.reached.set()
            await self.go.wait()
            return await work(*args, **named)

        return wait


@pytest.mark.parametrize("lock", ["FOR UPDATE", "FOR NO KEY UPDATE"])
async def test_requests_whose_rows_are_held_let_the_others_pass_and_come_again(
    lock: str,
    single: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    ended: Ended,
    video: Path,
) -> None:
    first = [await insert(media_path=str(video), options={"frames": 1}) for _ in range(8)]
    async with held(database, *first, lock=lock), working(single, database):
        later = await insert(media_path=str(video))
        assert (await ended(later)).event == "completed"
        assert {(await read(pool, one)).status for one in first} == {"pending"}
        # Asked again and again meanwhile, which counts for nothing.
        while not await pool.fetchval(  # noqa: ASYNC110 - rows tell it
            "SELECT min(attempts) > 1 FROM mediaq.procrastinate_jobs"
        ):
            await asyncio.sleep(0.05)
    async with working(single, database):
        for one in first:
            assert (await ended(one)).event == "completed"
            detail = await read(pool, one)
            assert [attempt.outcome for attempt in detail.attempts] == ["completed"]
            assert detail.failed_attempts == 0


SHEETS = {"want": ["contact_sheets"]}


async def test_what_a_step_made_waits_for_the_row_beside_the_slots(
    single: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    ended: Ended,
    video: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate()
    real = LocalMedia.contact_sheets
    monkeypatch.setattr(LocalMedia, "contact_sheets", gate.before(real))
    async with working(single, database):
        request_id = await insert(media_path=str(video), options=SHEETS)
        await gate.reached.wait()
        async with held(database, request_id):
            gate.go.set()
            other = await insert(media_path=str(video), options=SHEETS)
            assert (await ended(other)).event == "completed"
            assert (await read(pool, request_id)).status == "processing"
        assert (await ended(request_id)).event == "completed"
    detail = await read(pool, request_id)
    assert detail.failed_attempts == 0
    assert [attempt.outcome for attempt in detail.attempts] == ["given back", "completed"]
    # Nothing was decoded again: once for each of the two requests.
    assert gate.passed == 2
    assert [(step.step, step.attempt) for step in detail.steps] == [
        ("metadata", 1),
        ("contact_sheets", 1),
    ]


async def test_a_verdict_waits_for_the_row_beside_the_slots(
    single: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    ended: Ended,
    video: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate()
    monkeypatch.setattr(Crowd, "complete", gate.before(Crowd.complete))
    async with working(single, database):
        request_id = await insert(media_path=str(video))
        await gate.reached.wait()
        async with held(database, request_id):
            gate.go.set()
            assert (await ended(await insert(media_path=str(video)))).event == "completed"
            assert (await read(pool, request_id)).status == "processing"
        assert (await ended(request_id)).event == "completed"
    assert [attempt.outcome for attempt in (await read(pool, request_id)).attempts] == ["completed"]


async def test_what_the_client_decides_in_its_transaction_stands(
    single: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    ended: Ended,
    video: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate()
    monkeypatch.setattr(LocalMedia, "contact_sheets", gate.before(LocalMedia.contact_sheets))
    async with working(single, database) as worker:
        request_id = await insert(media_path=str(video))
        await gate.reached.wait()
        async with held(database, request_id) as client:
            gate.go.set()
            assert (await ended(await insert(media_path=str(video)))).event == "completed"
            await client.execute(
                "UPDATE media_analysis_requests SET status = 'cancelled' WHERE request_id = $1",
                request_id,
            )
        assert (await ended(request_id)).event == "cancelled"
        while request_id in worker._running:  # noqa: ASYNC110 - the worker has no event for it
            await asyncio.sleep(0.01)
        assert not (worker.storage.outputs / str(request_id)).exists()
    detail = await read(pool, request_id)
    assert [step.step for step in detail.steps] == ["metadata"]
    assert detail.files == []


async def test_a_worker_stops_although_a_row_is_held(
    single: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    ended: Ended,
    video: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it could not record is left to the sweep of the next one."""
    monkeypatch.setattr(workers, "LEAVE_SECONDS", 0.3)
    gate = Gate()
    monkeypatch.setattr(Crowd, "complete", gate.before(Crowd.complete))
    stalled = single.model_copy(update={"stalled_after": 1.0})
    async with asyncio.timeout(60):
        async with working(stalled, database):
            request_id = await insert(media_path=str(video))
            await gate.reached.wait()
            client = held(database, request_id)
            await client.__aenter__()
            gate.go.set()
        assert (await read(pool, request_id)).status == "processing"
        await client.__aexit__(None, None, None)
        async with working(stalled, database):
            assert (await ended(request_id)).event == "completed"
    outcomes = [attempt.outcome for attempt in (await read(pool, request_id)).attempts]
    assert outcomes == ["lost", "completed"]


async def test_a_claim_whose_answer_was_lost_is_given_back(
    single: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    ended: Ended,
    video: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worker lives, so no sweep of others would ever take the request from it."""
    monkeypatch.setattr(workers, "UNHELD_SECONDS", 0.5)
    real, lost = store.claim, asyncio.Event()

    async def lose(connection: db.Executor, request_id: UUID, **named: Any) -> Any:
        claimed = await real(connection, request_id, **named)
        if claimed is not None and not lost.is_set():
            lost.set()
            raise ConnectionResetError
        return claimed

    monkeypatch.setattr(store, "claim", lose)
    async with working(single, database):
        request_id = await insert(media_path=str(video))
        assert (await ended(request_id)).event == "completed"
    assert lost.is_set()
    detail = await read(pool, request_id)
    assert [attempt.outcome for attempt in detail.attempts] == ["given back", "completed"]
    assert (detail.failed_attempts, await recovery.workers_alive(pool)) == (0, 0)
