"""DELETE: rows go by cascade, stored bytes by a job, and whoever still works leaves nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from mediaq import db, events, removal
from mediaq.errors import Unavailable
from mediaq.events import Bells
from mediaq.listen import listen
from mediaq.settings import Database, Settings
from mediaq.storage.local import LocalStorage
from tests.conftest import Ended, Insert, working
from tests.flow.test_api import serving
from tests.flow.test_cli import environment, start
from tests.flow.test_worker import Troubled, troubled

__all__ = ["environment", "troubled"]

Removed = asyncio.Queue[list[str]]


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch) -> Removed:
    """The ids of each removal job, once it is done."""
    done: Removed = asyncio.Queue()
    run = removal.Removal.remove_files

    async def told(self: removal.Removal, request_ids: list[str]) -> None:
        await run(self, request_ids)
        done.put_nowait(request_ids)

    monkeypatch.setattr(removal.Removal, "remove_files", told)
    return done


async def queued(pool: db.Pool) -> list[asyncpg.Record]:
    return await pool.fetch(
        "SELECT * FROM mediaq.procrastinate_jobs WHERE task_name = 'mediaq.remove_files'"
    )


async def delete(pool: db.Pool, request_id: UUID) -> None:
    await pool.execute("DELETE FROM media_analysis_requests WHERE request_id = $1", request_id)


async def test_a_deleted_requests_rows_and_bytes_go_and_others_stay(
    settings: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    ended: Ended,
    video: Path,
    removed: Removed,
) -> None:
    outputs = settings.storage / "outputs"
    async with working(settings, database):
        gone, stays = [await insert(media_path=str(video)) for _ in range(2)]
        for request_id in (gone, stays):
            assert (await ended(request_id)).event == "completed"
        await delete(pool, gone)
        assert await removed.get() == [str(gone)]
    assert [entry.name for entry in outputs.iterdir()] == [str(stays)]
    for table in ("media_analysis_results", "media_files", "contact_sheets", "mediaq.steps"):
        ids = await pool.fetch(f"SELECT DISTINCT request_id FROM {table}")  # noqa: S608 - of this test
        assert [row["request_id"] for row in ids] == [stays], table
    paths = await pool.fetch("SELECT file_path FROM media_files")
    assert all(Path(row["file_path"]).is_file() for row in paths)
    assert await queued(pool) == []


async def test_a_running_attempt_of_a_deleted_request_leaves_nothing(
    settings: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    video: Path,
    troubled: Troubled,
    removed: Removed,
) -> None:
    troubled.wait = asyncio.Event()
    async with working(settings, database):
        request_id = await insert(media_path=str(video))
        await troubled.reached.wait()
        await delete(pool, request_id)
        await removed.get()
        # Only now the attempt makes and stores its sheets.
        troubled.wait.set()
    assert list((settings.storage / "outputs").iterdir()) == []
    assert list((settings.storage / "temp").iterdir()) == []
    assert await pool.fetchval("SELECT count(*) FROM media_files") == 0


async def test_deletion_is_an_event_that_rings_progress_and_not_the_end(
    database: Database, pool: db.Pool, insert: Insert, bells: Bells
) -> None:
    heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    listening = asyncio.Event()
    listener = asyncio.create_task(
        listen(
            database,
            ("mediaq_events", "mediaq_progress"),
            on_bell=lambda *bell: heard.put_nowait(bell),
            on_connect=listening.set,
        )
    )
    await listening.wait()
    request_id = await insert(media_path="/x")
    await delete(pool, request_id)
    bell = [await heard.get() for _ in range(2)]
    assert [channel for channel, _ in bell] == ["mediaq_progress"] * 2
    assert '"event" : "deleted"' in bell[1][1]
    told = events.of_request(pool, bells, request_id)
    assert [(await anext(told)).event for _ in range(2)] == ["pending", "deleted"]
    listener.cancel()


async def test_one_statement_queues_one_job_for_what_was_claimed(pool: db.Pool) -> None:
    await pool.execute(
        "INSERT INTO media_analysis_requests (media_path)"
        " SELECT '/' || n FROM generate_series(1, 9) n"
    )
    await pool.execute(
        "UPDATE media_analysis_requests SET status = 'processing' WHERE media_path < '/6'"
    )
    await pool.execute("DELETE FROM media_analysis_requests WHERE media_path > '/5'")
    assert await queued(pool) == []
    await pool.execute("DELETE FROM media_analysis_requests")
    (job,) = await queued(pool)
    assert len(job["args"]["request_ids"]) == 5
    await pool.execute("DELETE FROM media_analysis_requests")
    assert len(await queued(pool)) == 1


async def test_a_rolled_back_deletion_removes_nothing(pool: db.Pool, insert: Insert) -> None:
    await insert(media_path="/x")
    await pool.execute("UPDATE media_analysis_requests SET status = 'processing'")
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("DELETE FROM media_analysis_requests")
        await transaction.rollback()
    assert await queued(pool) == []


async def test_a_request_that_exists_keeps_its_files(
    pool: db.Pool, insert: Insert, tmp_path: Path
) -> None:
    request_id = await insert(media_path="/x")
    file = tmp_path / "outputs" / str(request_id) / "step-1" / "a.jpg"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    work = removal.Removal(pool, LocalStorage(tmp_path))
    await work.remove_files([str(request_id)])
    assert file.exists()
    await delete(pool, request_id)
    await work.remove_files([str(request_id)])
    assert list((tmp_path / "outputs").iterdir()) == []


async def test_files_that_cannot_be_removed_stop_no_other_and_bring_the_job_back(
    pool: db.Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = LocalStorage(tmp_path)
    ids = [f"00000000-0000-0000-0000-00000000000{number}" for number in range(3)]
    seen: list[str] = []

    async def remove(key: str) -> None:
        seen.append(key)
        if key.endswith("0"):
            msg = "the disk is away"
            raise Unavailable(msg)

    monkeypatch.setattr(storage, "remove", remove)
    with pytest.raises(Unavailable):
        await removal.Removal(pool, storage).remove_files(ids)
    assert sorted(seen) == [f"outputs/{request_id}" for request_id in ids]


async def test_whoever_waits_for_the_end_hears_that_there_will_be_none(
    pool: db.Pool, bells: Bells
) -> None:
    async with serving(pool, bells) as api, asyncio.timeout(30):
        happening = events.feed(pool, bells, await events.cursor(pool))
        waiting = asyncio.create_task(
            api.post(
                "/api/media/analyze", json={"media_path": "/x"}, headers={"Prefer": "wait=300"}
            )
        )
        request_id = (await anext(happening)).request_id
        await delete(pool, request_id)
        assert (await waiting).status == 202


async def test_watch_ends_when_its_request_is_deleted(
    environment: dict[str, str], pool: db.Pool, insert: Insert
) -> None:
    request_id = await insert(media_path="/x")
    watching = await start(environment, "watch", request_id)
    assert watching.stdout is not None
    async with asyncio.timeout(60):
        assert b"pending" in await watching.stdout.readline()
        await delete(pool, request_id)
        assert b"deleted" in await watching.stdout.readline()
        assert await watching.wait() == 1


async def test_the_copy_that_submit_made_goes_with_its_request(
    settings: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    video: Path,
    removed: Removed,
) -> None:
    storage = LocalStorage(settings.storage)
    storage.prepare()
    kept = storage.uploads / "kept.mp4"
    kept.write_bytes(video.read_bytes())
    gone, shared = UUID(int=1), UUID(int=2)
    for request_id in (gone, shared):
        path = storage.copy(video, request_id)
        await insert(request_id=request_id, media_path=str(path))
    # Another request names the copy of the second one, as it is seen from the uploads.
    await insert(media_path=f"requests/{shared}/{video.name}")
    await insert(request_id=UUID(int=3), media_path="kept.mp4")
    # What no worker has claimed queues no removal.
    await pool.execute("UPDATE media_analysis_requests SET status = 'processing'")
    await pool.execute("DELETE FROM media_analysis_requests WHERE request_id <= $1", UUID(int=3))
    async with working(settings, database):
        await removed.get()
    assert [entry.name for entry in storage.copies.iterdir()] == [str(shared)]
    assert kept.exists()


async def test_copies_of_no_request_are_swept_after_their_time(
    settings: Settings, pool: db.Pool, insert: Insert, video: Path
) -> None:
    storage = LocalStorage(settings.storage)
    storage.prepare()
    waiting, orphan = UUID(int=1), UUID(int=2)
    await insert(request_id=waiting, media_path=str(storage.copy(video, waiting)))
    storage.copy(video, orphan)
    (storage.uploads / "requests" / "mine").mkdir()
    await removal.Removal(pool, storage).sweep(3600, 0)
    assert (storage.copies / str(orphan)).exists()
    await removal.Removal(pool, storage).sweep(0, 0)
    names = {entry.name for entry in storage.copies.iterdir()}
    assert names == {str(waiting), "mine"}
