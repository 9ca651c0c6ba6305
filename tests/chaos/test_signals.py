"""Real worker processes are asked to stop: what runs goes back, and others finish it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from mediaq import db, store
from mediaq.settings import Database, Settings
from mediaq.views import Detail
from tests.conftest import Ended, Insert, working

# A worker that is handed a named pipe for every source: its child reads from it, and never ends.
ENDLESS = """
import sys
from pathlib import Path
from mediaq import fetch
from mediaq.cli import main

pipe = Path(sys.argv.pop(1))
fetch.from_path = lambda *args, **named: pipe
main()
"""


@dataclass
class Endless:
    """A worker process whose child decodes for ever."""

    process: asyncio.subprocess.Process
    pipe: Path
    storage: Path
    _writer: int = -1

    async def decodes(self) -> None:
        """Wait until the child has opened the pipe."""
        async with asyncio.timeout(60):
            self._writer = await asyncio.to_thread(os.open, self.pipe, os.O_WRONLY)

    async def says(self, event: str) -> dict[str, object]:
        """Wait for an event of its log."""
        assert self.process.stderr is not None
        async with asyncio.timeout(60):
            async for line in self.process.stderr:
                told: dict[str, object] = json.loads(line)
                if told["event"] == event:
                    return told
        raise AssertionError(event)

    async def code(self, seconds: float) -> int:
        async with asyncio.timeout(seconds):
            await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode

    def nothing_runs(self) -> None:
        # Nobody reads from the pipe any more, so the child is gone, as its files are.
        with pytest.raises(BrokenPipeError):
            os.write(self._writer, b"x")
        os.close(self._writer)
        assert not list((self.storage / "temp").iterdir())
        assert not list((self.storage / "outputs").iterdir())


@asynccontextmanager
async def endless(
    settings: Settings, database: Database, tmp_path: Path, *arguments: str
) -> AsyncIterator[Endless]:
    pipe = tmp_path / "endless.mp4"
    os.mkfifo(pipe)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ENDLESS, str(pipe), "worker", *arguments),
        env={
            "PATH": os.environ["PATH"],
            "DATABASE_URL": database.dsn.get_secret_value(),
            "MEDIAQ_HOME": str(settings.home),
        },
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Endless(process, pipe, settings.storage)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def went_back(pool: db.Pool, *ids: UUID) -> None:
    """The requests are pending, each with a job that anybody may take, and nobody works here."""
    for request_id in ids:
        text = await store.detail(pool, request_id)
        assert text is not None
        detail = Detail.model_validate_json(text)
        assert (detail.status, detail.failed_attempts) == ("pending", 0)
        assert {attempt.outcome for attempt in detail.attempts} <= {"given back"}
    jobs = await pool.fetch(
        "SELECT status::text, args ->> 'request_id' FROM mediaq.procrastinate_jobs"
    )
    assert {tuple(row) for row in jobs} == {("todo", str(request_id)) for request_id in ids}
    assert not await pool.fetchval("SELECT count(*) FROM mediaq.workers")
    assert not await pool.fetchval("SELECT count(*) FROM mediaq.procrastinate_workers")


async def test_what_runs_longer_than_the_drain_goes_back_and_another_worker_finishes_it(
    settings: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    ended: Ended,
    video: Path,
    tmp_path: Path,
) -> None:
    arguments = ("--drain-timeout", "0.3", "--concurrency", "1")
    async with endless(settings, database, tmp_path, *arguments) as worker:
        ids = [await insert(media_path=str(video)) for _ in range(3)]
        await worker.decodes()
        worker.process.send_signal(signal.SIGTERM)
        assert (await worker.says("stop.asked"))["now"] is False
        assert (await worker.says("attempt.given_back"))["request_id"] == str(ids[0])
        assert await worker.code(15) == 0
    worker.nothing_runs()
    await went_back(pool, *ids)
    async with working(settings, database):
        for request_id in ids:
            assert (await ended(request_id)).event == "completed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_second_signal_does_not_wait_for_what_runs(
    number: signal.Signals,
    settings: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    ended: Ended,
    video: Path,
    tmp_path: Path,
) -> None:
    arguments = ("--drain-timeout", "3600", "--concurrency", "2")
    async with endless(settings, database, tmp_path, *arguments) as worker:
        ids = [await insert(media_path=str(video)) for _ in range(4)]
        await worker.decodes()
        worker.process.send_signal(number)
        assert (await worker.says("stop.asked"))["now"] is False
        worker.process.send_signal(number)
        assert (await worker.says("stop.asked"))["now"] is True
        assert await worker.code(10) == 128 + number
    worker.nothing_runs()
    await went_back(pool, *ids)
    async with working(settings, database):
        for request_id in ids:
            assert (await ended(request_id)).event == "completed"
