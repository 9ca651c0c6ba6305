"""One worker and one database for the whole corpus, and what each file did to them."""

from __future__ import annotations

import asyncio
import re
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from mediaq import db, events, store
from mediaq.events import Bells
from mediaq.model import TERMINAL
from mediaq.settings import Database, Settings
from mediaq.storage.local import LocalStorage
from mediaq.views import Detail
from tests.conftest import created, working

SECONDS = 40
"""Wall-clock limit of one child; the corpus needs far less, on a machine that has time."""


@dataclass(frozen=True)
class Outcome:
    """How a request ended, how long it took, and the most memory of one of its children, in MiB."""

    detail: Detail
    seconds: float
    peak: int


@dataclass(frozen=True)
class World:
    """A running worker to send files to."""

    pool: db.Pool
    bells: Bells
    settings: Settings
    folder: Path

    async def analyse(self, path: Path | str, media_type: str = "auto") -> Outcome:
        """Send a file by INSERT and wait for its end."""
        started = time.monotonic()
        request_id = await self.pool.fetchval(
            "INSERT INTO media_analysis_requests (media_type, media_path) VALUES ($1, $2)"
            " RETURNING request_id",
            media_type,
            str(path),
        )
        async with asyncio.timeout(100), _watching() as peak:
            async for event in events.of_request(self.pool, self.bells, request_id):
                if event.event in TERMINAL:
                    break
        seconds = time.monotonic() - started
        text = await store.detail(self.pool, request_id)
        assert text is not None
        return Outcome(Detail.model_validate_json(text), seconds, max(peak) // 1024)

    def left_behind(self, outcome: Outcome) -> list[str]:
        """Name the processes and files that an ended request must not leave."""
        storage = LocalStorage(self.settings.storage)
        kept = {file.file_path for file in outcome.detail.files}
        mine = storage.outputs / str(outcome.detail.request_id)
        made = [str(path) for path in mine.rglob("*") if path.is_file()]
        return [
            *(f"process {pid}" for pid in _decoders()),
            *map(str, storage.temp.iterdir()),
            *(path for path in made if path not in kept),
        ]


def _decoders() -> Iterator[int]:
    """Find children of this process that are decoders of ours, ended or not."""
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            for pid in thread.joinpath("children").read_text().split():
                if b"mediaq.media.child" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    yield int(pid)


@asynccontextmanager
async def _watching() -> AsyncIterator[list[int]]:
    """Note the highest memory of every decoder, in KiB, again and again.

    The kernel's own account of ended children will not do: it counts this process's memory, which
    a child shares until it begins.
    """
    peaks = [0]

    async def look() -> None:
        while True:
            for pid in _decoders():
                with suppress(OSError):
                    told = re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())
                    peaks.append(int(told[1]) if told else 0)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(look())
    yield peaks
    task.cancel()


@pytest.fixture(scope="session")
async def world(
    server: Database,
    admin: asyncpg.Connection,
    template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[World]:
    """A worker that lives through the whole corpus."""
    folder = tmp_path_factory.mktemp("hostile")
    settings = Settings(
        home=folder / "home",
        media_roots=(folder / "sources",),
        port=0,
        pool_size=2,
        retry_delay=0.01,
        max_attempts=2,
        drain_timeout=5,
        decode_timeout=SECONDS,
    )
    (folder / "sources").mkdir()
    async with (
        created(server, admin, template) as database,
        db.pool(database, name="test", size=1, overflow=20) as pool,
        events.bells(database) as bells,
        working(settings, database),
    ):
        yield World(pool, bells, settings, folder / "sources")


@pytest.fixture
def place(world: World) -> Path:
    """An empty folder of this test below the media root."""
    return Path(tempfile.mkdtemp(dir=world.folder))


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A door that nobody may knock at."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.setblocking(False)
        yield door
        with pytest.raises(BlockingIOError):
            door.accept()
