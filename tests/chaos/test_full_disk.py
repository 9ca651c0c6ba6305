"""A disk is really full: nothing fails for it, and all goes on when there is room."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
from structlog.testing import capture_logs

from mediaq import db, migrate
from mediaq.settings import Database, Settings
from mediaq.views import Detail
from tests.chaos import disks
from tests.chaos.conftest import Breakable
from tests.chaos.load import serving, settled, submit
from tests.conftest import Ended, Insert, on, working

ROUNDS = 12


@asynccontextmanager
async def crowded(server: Breakable, disk: Path) -> AsyncIterator[Database]:
    """A migrated database all of whose tables and indexes lie on ``disk``."""
    place = disk / "database"
    place.mkdir()
    owner = (server.home / "postgres" / "data").stat()
    os.chown(place, owner.st_uid, owner.st_gid)
    admin = await asyncpg.connect(server.database.dsn.get_secret_value())
    try:
        await admin.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
        await admin.execute("CREATE DATABASE crowded TABLESPACE small")
        database = on(server.database, "crowded")
        await migrate.migrate(database, tell=lambda _: None)
        yield database
    finally:
        await admin.execute("DROP DATABASE IF EXISTS crowded WITH (FORCE)")
        await admin.close()


async def until(logs: list[dict[str, object]], said: Callable[[dict[str, object]], bool]) -> None:
    while not any(said(entry) for entry in logs):  # noqa: ASYNC110 - the log tells it
        await asyncio.sleep(0.02)


async def test_the_disk_of_the_database_is_full_and_nobody_loses_anything(
    breakable: Breakable, small: Path, settings: Settings, video: Path
) -> None:
    async with asyncio.timeout(100), crowded(breakable, small) as database:
        accepted: set[UUID] = set()
        patient = settings.model_copy(update={"heartbeat": 0.3})
        with capture_logs() as logs:
            async with (
                serving(settings, database) as client,
                working(patient, database) as worker,
                db.pool(database, name="test", size=1, overflow=2) as pool,
            ):
                while len(accepted) < ROUNDS:
                    request_id = await submit(client, video)
                    assert request_id is not None
                    accepted.add(request_id)
                await until(logs, lambda entry: entry["event"] == "attempt.completed")
                filler = disks.fill(small)
                # There may be room left in pages that the database has already.
                refused = 0
                while refused < 3:
                    request_id = await submit(client, video)
                    refused += request_id is None
                    accepted |= {request_id} if request_id else set()
                # The worker has met it as well, in whatever it was doing, and lives on.
                await until(
                    logs,
                    lambda entry: (
                        "No space left on device" in str(entry.get("error"))
                        and entry["event"] != "database.hindered"
                    ),
                )
                async with client.get(f"/api/media/status/{min(accepted)}") as answer:
                    assert answer.status == 200
                disks.free(filler)
                request_id = await submit(client, video)
                assert request_id is not None
                accepted.add(request_id)
                await settled(database, pool, accepted, worker.storage.outputs)
        foul = {"request.failed", "queue.worker_ended", "attempt.retried", "attempt.lost"}
        assert not [entry for entry in logs if entry["event"] in foul]


async def test_the_disk_of_the_storage_is_full_and_the_request_comes_again(
    small: Path,
    settings: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    ended: Ended,
    video: Path,
) -> None:
    stored = settings.model_copy(
        update={"storage_dir": small, "retry_delay": 0.2, "max_attempts": 100, "retry_delay_max": 1}
    )
    async with working(stored, database):
        filler = disks.fill(small)
        request_id = await insert(media_path=str(video))
        while (  # noqa: ASYNC110 - the row tells it
            said := await pool.fetchval("SELECT error_message FROM media_analysis_requests")
        ) is None:
            await asyncio.sleep(0.05)
        assert "No space left on device" in said
        disks.free(filler)
        assert (await ended(request_id)).event == "completed"
    detail = Detail.model_validate_json(await pool.fetchval(db.queries()["detail"], request_id))
    assert detail.error_message is None
    assert {attempt.outcome for attempt in detail.attempts} == {"retried", "completed"}
    assert {Path(file.file_path) for file in detail.files} == {
        path for path in small.rglob("outputs/**/*") if path.is_file()
    }
