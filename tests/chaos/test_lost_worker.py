"""Workers that are killed: their requests go on elsewhere, each thing made exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from mediaq import db, events, queue, recovery, store
from mediaq.events import Bells
from mediaq.model import TERMINAL
from mediaq.removal import Removal
from mediaq.settings import Database, Settings
from mediaq.views import Detail
from tests.conftest import Ended, Insert, claim, until_no_job_is_left, working

# A worker that says when it has come to a step, and then waits to be killed there.
HANGING = """
import asyncio, sys
from mediaq.media.local import LocalMedia
from mediaq.cli import main
from mediaq import store, worker

place = sys.argv.pop(1)

async def hang(*args, **named):
    print("here", flush=True)
    await asyncio.Event().wait()

async def record_then_hang(*args, _record=store.record_step, **named):
    await _record(*args, **named)
    if args[2] == "contact_sheets":
        await hang()

if place == "claimed":
    LocalMedia.probe = hang
elif place == "in a step":
    LocalMedia.contact_sheets = hang
elif place == "before the commit of a step":
    store.record_step = record_then_hang
elif place == "before the verdict":
    store.complete = hang
main()
"""


@pytest.fixture
def quick(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Recovery within seconds."""
    monkeypatch.setattr(queue, "POLL_SECONDS", 0.2)
    return settings.model_copy(update={"heartbeat": 0.2, "stalled_after": 1.0})


@contextlib.asynccontextmanager
async def killed_at(
    place: str, settings: Settings, database: Database, tmp_path: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker process that hangs at ``place``; whoever leaves kills it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HANGING, place, "worker"),
        env={
            "PATH": os.environ["PATH"],
            "DATABASE_URL": database.dsn.get_secret_value(),
            "MEDIAQ_HOME": str(settings.home),
            "MEDIAQ_MEDIA_ROOTS": str(tmp_path),
            "MEDIAQ_HEARTBEAT": "0.2",
            "MEDIAQ_STALLED_AFTER": "1",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def reached(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert await process.stdout.readline() == b"here\n"


async def read(pool: db.Pool, request_id: UUID) -> Detail:
    text = await store.detail(pool, request_id)
    assert text is not None
    return Detail.model_validate_json(text)


async def balanced(pool: db.Pool, settings: Settings) -> None:
    """The books: every row has its bytes, all bytes have a row, no job is left behind."""
    rows = {Path(row[0]) for row in await pool.fetch("SELECT file_path FROM media_files")}
    files = {path for path in (settings.storage / "outputs").rglob("*") if path.is_file()}
    assert rows == files
    assert await pool.fetchval("SELECT count(*) FROM mediaq.procrastinate_jobs") == 0
    assert not await pool.fetchval("SELECT count(*) FROM mediaq.attempts WHERE finished_at IS NULL")


@pytest.mark.parametrize(
    "place",
    ["claimed", "in a step", "before the commit of a step", "before the verdict"],
)
async def test_a_killed_workers_request_goes_on_elsewhere_and_makes_each_thing_once(
    place: str,
    quick: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    ended: Ended,
    video: Path,
    tmp_path: Path,
) -> None:
    async with killed_at(place, quick, database, tmp_path) as process:
        only = {"want": ["contact_sheets"]}
        request_id = await insert(media_path=str(video), options=only)
        await reached(process)
    async with working(quick, database) as worker:
        assert (await ended(request_id)).event == "completed"
        await Removal(pool, worker.storage).sweep(0, 0)
        # The job of the dead worker comes back as well, and ends quietly.
        await until_no_job_is_left(pool)
    detail = await read(pool, request_id)
    assert [attempt.outcome for attempt in detail.attempts] == ["lost", "completed"]
    assert len({attempt.worker for attempt in detail.attempts}) == 2
    assert detail.error_message is None
    assert [result.result_type for result in detail.results] == ["metadata_extraction"]
    assert [sheet.sheet_number for sheet in detail.contact_sheets] == [1]
    assert len(detail.files) == 9
    assert [step.step for step in detail.steps] == ["metadata", "contact_sheets"]
    assert detail.steps[0].attempt == (2 if place == "claimed" else 1)
    await balanced(pool, quick)


async def test_a_request_that_outlives_two_workers_is_failed_with_an_explanation(
    quick: Settings,
    database: Database,
    pool: db.Pool,
    bells: Bells,
    insert: Insert,
    ended: Ended,
    video: Path,
    tmp_path: Path,
) -> None:
    request_id = await insert(media_path=str(video))
    for _ in range(2):
        async with killed_at("in a step", quick, database, tmp_path) as process:
            await reached(process)
    async with working(quick, database):
        event = await ended(request_id)
    assert event.event == "failed"
    assert event.error is not None
    assert event.error.startswith("2 worker processes in a row ended while they worked on this")
    assert [a.outcome for a in (await read(pool, request_id)).attempts] == ["lost", "lost"]
    # Asked again, it has all its lives again.
    await pool.execute("UPDATE media_analysis_requests SET status = 'pending'")
    async with asyncio.timeout(60), working(quick, database):
        async for later in events.of_request(pool, bells, request_id, since=event.event_id):
            if later.event in TERMINAL:
                assert later.event == "completed"
                break


async def test_many_sweeps_at_once_recover_each_request_once(pool: db.Pool, insert: Insert) -> None:
    ids = [await insert(media_path="/x.mp4") for _ in range(50)]
    for request_id in ids:
        assert await claim(pool, request_id) is not None
    me = await recovery.register(pool)
    keepers = [recovery.Keeper(pool, me, 10, 0) for _ in range(8)]
    await asyncio.gather(*(keeper.sweep() for keeper in keepers))
    outcomes = await pool.fetch("SELECT outcome FROM mediaq.attempts")
    assert [row["outcome"] for row in outcomes] == ["lost"] * 50
    queued = await pool.fetchval("SELECT count(*) FROM mediaq.procrastinate_jobs")
    assert queued == 100  # the job that each came with, and the one of its recovery


async def test_a_living_worker_loses_nothing_to_the_sweep(pool: db.Pool, insert: Insert) -> None:
    me = await recovery.register(pool)
    request_id = await insert(media_path="/x.mp4")
    assert await store.claim(pool, request_id, worker_id=me.worker_id, worker=str(me)) is not None
    await recovery.Keeper(pool, me, 10, 30).sweep()
    await pool.execute("UPDATE mediaq.workers SET seen_at = now() - interval '1 minute'")
    await recovery.Keeper(pool, me, 10, 30).sweep()
    assert await store.request_status(pool, request_id) == "processing"
    await pool.execute(
        "ALTER TABLE media_analysis_requests DISABLE TRIGGER mediaq_check_change;"
        "UPDATE media_analysis_requests SET started_at = now() - interval '1 minute';"
        "ALTER TABLE media_analysis_requests ENABLE TRIGGER mediaq_check_change"
    )
    await recovery.Keeper(pool, me, 10, 30).sweep()
    assert await store.request_status(pool, request_id) == "pending"


async def test_after_an_outage_the_others_get_the_time_to_give_a_sign_of_life(
    pool: db.Pool, insert: Insert
) -> None:
    request_id = await insert(media_path="/x.mp4")
    assert await claim(pool, request_id) is not None
    me = await recovery.register(pool)
    keeper = recovery.Keeper(pool, me, 10, 0)
    keeper.stalled_after = 0.001
    await keeper.beat()
    keeper.stalled_after = 3600
    keeper._beaten -= 60
    await keeper.beat()
    await keeper.sweep()
    assert await store.request_status(pool, request_id) == "processing"


async def test_a_pending_request_that_lost_its_job_gets_one(
    quick: Settings, database: Database, pool: db.Pool, insert: Insert, ended: Ended, video: Path
) -> None:
    ids = [await insert(media_path=str(video)) for _ in range(3)]
    await pool.execute("DELETE FROM mediaq.procrastinate_jobs")
    async with working(quick, database):
        for request_id in ids:
            assert (await ended(request_id)).event == "completed"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE media_analysis_requests SET status = 'cancelled'",
        "DELETE FROM media_analysis_requests",
    ],
)
async def test_a_running_request_stops_at_once_with_its_child_process(
    statement: str,
    settings: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A child that never ends by itself: a named pipe in place of a file."""
    pipe = tmp_path / "endless.mp4"
    os.mkfifo(pipe)
    monkeypatch.setattr("mediaq.fetch.from_path", lambda *_args, **_named: pipe)
    async with working(settings, database) as worker:
        await insert(media_path=str(pipe))
        # Opening the pipe for writing waits until the child has opened it for reading.
        writer = await asyncio.to_thread(os.open, pipe, os.O_WRONLY)
        gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(writer, gone.set)
        await pool.execute(statement)
        # Nobody reads any more: the child has ended, long before the worker is told to.
        async with asyncio.timeout(30):
            await gone.wait()
        asyncio.get_running_loop().remove_reader(writer)
        with pytest.raises(BrokenPipeError):
            os.write(writer, b"x")
        os.close(writer)
    assert not list(worker.storage.temp.iterdir())
    outcomes = [row["outcome"] for row in await pool.fetch("SELECT outcome FROM mediaq.attempts")]
    assert outcomes == (["cancelled"] if "cancelled" in statement else [])


async def test_an_attempt_over_its_time_limit_is_tried_again_and_then_failed(
    settings: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    ended: Ended,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipe = tmp_path / "endless.mp4"
    os.mkfifo(pipe)
    monkeypatch.setattr("mediaq.fetch.from_path", lambda *_args, **_named: pipe)
    monkeypatch.setattr(queue, "POLL_SECONDS", 0.1)
    limited = settings.model_copy(update={"max_attempts": 2, "attempt_timeout": 0.3})
    async with working(limited, database):
        request_id = await insert(media_path=str(pipe))
        event = await ended(request_id)
    assert event.error is not None
    assert event.error.startswith("the attempt took longer than 0.3 s, its limit")
    assert event.error.endswith("(given up after 2 attempts)")
    detail = await read(pool, request_id)
    assert [attempt.outcome for attempt in detail.attempts] == ["retried", "failed"]
    assert json.dumps(detail.error_details)


async def test_files_without_a_row_are_swept_and_those_with_one_stay(
    settings: Settings, database: Database, insert: Insert, ended: Ended, pool: db.Pool, video: Path
) -> None:
    async with working(settings, database) as worker:
        request_id = await insert(media_path=str(video))
        await ended(request_id)
        stray = worker.storage.outputs / str(request_id) / "contact_sheets-9"
        stray.mkdir()
        (stray / "sheet-01.jpg").write_bytes(b"x")
        orphan = worker.storage.outputs / str(UUID(int=7)) / "contact_sheets-1"
        orphan.mkdir(parents=True)
        left = worker.storage.temp / "left"
        left.mkdir()
        await Removal(pool, worker.storage).sweep(3600, 0)
        assert stray.exists()
        assert orphan.exists()
        await Removal(pool, worker.storage).sweep(0, 0)
        assert not stray.exists()
        assert not orphan.parent.exists()
        assert not left.exists()
    for row in await pool.fetch("SELECT file_path FROM media_files"):
        assert Path(row[0]).exists()
