"""The older short form: what its clients write and read, beside tables that really have it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from mediaq import db, store
from mediaq.settings import Database, Settings
from mediaq.views import Detail
from tests.conftest import claim, until_no_job_is_left, working

FOLDER = Path(__file__).parent.parent / "contract"
CONTRACT = FOLDER / "schema-minimal.sql"
TABLES = ("media_analysis_requests", "media_analysis_results", "media_files", "contact_sheets")

REQUEST = "11111111-1111-1111-1111-111111111111"
URL = "https://media.example/a.mp4"

_CLIENTS = (FOLDER / "minimal-clients.sql").read_text()
_PARTS = re.split(r"^-- name: (\w+)\n", _CLIENTS, flags=re.MULTILINE)[1:]
CONVERSATIONS = {
    name: [statement for statement in text.split(";\n") if statement.strip()]
    for name, text in zip(_PARTS[::2], _PARTS[1::2], strict=True)
}
INSERT = CONVERSATIONS["insert"][0]


@pytest.fixture
async def old(empty_database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A database with tables of the older form."""
    connection = await asyncpg.connect(empty_database.dsn.get_secret_value())
    await connection.execute(CONTRACT.read_text())
    yield connection
    await connection.close()


@pytest.fixture
async def minimal(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A migrated database as a client of the older form sees it."""
    connection = await asyncpg.connect(
        database.dsn.get_secret_value(), server_settings={"search_path": "minimal, public"}
    )
    yield connection
    await connection.close()


async def answer(connection: asyncpg.Connection, statement: str) -> Any:
    """What a client sees: the command's tag and the rows, or the class of the error."""
    try:
        prepared = await connection.prepare(statement)
        rows = [tuple(row) for row in await prepared.fetch()]
    except asyncpg.PostgresError as error:
        return type(error).__name__
    return prepared.get_statusmsg(), rows


@pytest.mark.parametrize("name", CONVERSATIONS)
async def test_clients_of_the_older_form_see_no_difference(
    old: asyncpg.Connection, minimal: asyncpg.Connection, name: str
) -> None:
    for statement in CONVERSATIONS[name]:
        assert await answer(minimal, statement) == await answer(old, statement), statement


async def test_every_column_of_the_older_form_has_its_name_type_and_default(
    old: asyncpg.Connection, minimal: asyncpg.Connection
) -> None:
    columns = """
        SELECT table_name, column_name, ordinal_position, data_type, column_default
          FROM information_schema.columns WHERE table_schema = $1 AND table_name = ANY ($2)
    """
    wanted = {tuple(row) for row in await old.fetch(columns, "public", TABLES)}
    found = {tuple(row) for row in await minimal.fetch(columns, "minimal", TABLES)}
    found, wanted = (
        {(*row[:4], str(row[4]).split("::")[0]) for row in rows} for rows in (found, wanted)
    )
    assert found == wanted


async def test_an_older_clients_request_is_queued_and_found_in_the_tables(
    minimal: asyncpg.Connection,
) -> None:
    await minimal.execute(INSERT)
    row = await minimal.fetchrow("SELECT * FROM public.media_analysis_requests")
    assert row is not None
    assert (str(row["request_id"]), row["media_url"], row["media_path"]) == (REQUEST, URL, None)
    assert await minimal.fetchval("SELECT count(*) FROM mediaq.procrastinate_jobs") == 1


async def test_a_path_goes_to_the_column_of_paths_and_other_schemes_are_refused(
    minimal: asyncpg.Connection,
) -> None:
    insert = (
        "INSERT INTO media_analysis_requests (media_url, prompt, media_type)"
        " VALUES ($1, 'p', 'video')"
    )
    await minimal.execute(insert, "holiday.mp4")
    assert await minimal.fetchval("SELECT media_path FROM public.media_analysis_requests")
    for address in ("ftp://a.example/x", "file:///etc/passwd", "https://", ""):
        with pytest.raises(asyncpg.InvalidParameterValueError):
            await minimal.execute(insert, address)


async def test_a_verdict_of_an_outside_worker_tells_one_end_and_leaves_its_results_readable(
    minimal: asyncpg.Connection, pool: db.Pool
) -> None:
    for statement in CONVERSATIONS["after_processing"]:
        await minimal.execute(statement)
    happened = await pool.fetch("SELECT event FROM mediaq.events ORDER BY event_id")
    assert [row["event"] for row in happened] == ["pending", "processing", "completed"]
    text = await store.detail(pool, UUID(REQUEST))
    assert text is not None
    detail = Detail.model_validate_json(text)
    (result,) = detail.results
    assert (result.result_type, result.provider) == ("vision_analysis", "openai")
    assert (result.content, result.token_count) == ("a cat", 30)
    (sheet,) = detail.contact_sheets
    assert (sheet.file_path, sheet.grid_cols, sheet.grid_rows) == ("/sheets/a.jpg", 2, 3)


async def test_the_queued_job_of_a_request_that_an_outside_worker_ended_ends_quietly(
    minimal: asyncpg.Connection, pool: db.Pool, settings: Settings, database: Database
) -> None:
    for statement in CONVERSATIONS["after_processing"]:
        await minimal.execute(statement)
    async with working(settings, database):
        await until_no_job_is_left(pool)
    row = await pool.fetchrow("SELECT * FROM media_analysis_requests")
    assert row is not None
    assert (row["status"], row["attempt"], row["error_message"]) == ("completed", 1, None)


async def test_an_outside_verdict_fences_off_a_worker_of_ours(
    minimal: asyncpg.Connection, pool: db.Pool
) -> None:
    await minimal.execute(INSERT)
    request = await claim(pool, UUID(REQUEST))
    assert request is not None
    await minimal.execute("UPDATE media_analysis_requests SET status = 'completed', latency_ms = 9")
    assert not await store.fail(pool, request, "late", {})
    assert await minimal.fetchval("SELECT latency_ms FROM media_analysis_requests") == 9


async def test_what_an_outside_worker_said_is_forgotten_with_the_next_attempt(
    minimal: asyncpg.Connection, pool: db.Pool
) -> None:
    await minimal.execute(INSERT)
    await minimal.execute(
        "UPDATE media_analysis_requests SET status = 'failed', latency_ms = 999999,"
        " completed_at = '2020-01-01 00:00:00+00'"
    )
    await pool.execute("UPDATE media_analysis_requests SET status = 'pending'")
    read = "SELECT status, latency_ms, completed_at FROM media_analysis_requests"
    assert tuple(await minimal.fetchrow(read)) == ("pending", None, None)
    request = await claim(pool, UUID(REQUEST))
    assert request is not None
    await store.complete(pool, request)
    status, latency, at = await minimal.fetchrow(read)
    assert (status, latency < 999999, at.year > 2020) == ("completed", True, True)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("completed", "failed", "a completed request cannot become failed; insert a new request"),
        ("completed", "pending", "a completed request cannot become pending; insert a new request"),
        ("cancelled", "completed", "a request cannot go from cancelled to completed"),
        ("pending", "done", "status must be pending, processing, completed, failed or cancelled"),
    ],
)
async def test_what_stays_refused_is_said_in_words(
    minimal: asyncpg.Connection, before: str, after: str, sentence: str
) -> None:
    await minimal.execute(INSERT)
    await minimal.execute("UPDATE media_analysis_requests SET status = $1", before)
    with pytest.raises(asyncpg.InvalidParameterValueError, match=f"^{sentence}"):
        await minimal.execute("UPDATE media_analysis_requests SET status = $1", after)


async def test_of_two_claims_at_once_one_gets_the_row(
    minimal: asyncpg.Connection, pool: db.Pool, database: Database
) -> None:
    await minimal.execute(INSERT)
    claim = (
        "UPDATE minimal.media_analysis_requests SET status = 'processing'"
        " WHERE id = $1 AND status = 'pending' RETURNING id"
    )
    other = await asyncpg.connect(database.dsn.get_secret_value())
    transaction = minimal.transaction()
    await transaction.start()
    assert await minimal.fetch(claim, UUID(REQUEST))
    waiting = asyncio.create_task(other.fetch(claim, UUID(REQUEST)))
    async with asyncio.timeout(30):
        # Whoever waits for a lock rings no bell.
        while not await pool.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
            pass
    await transaction.commit()
    assert await waiting == []
    await other.close()


async def test_rows_of_ours_are_read_and_written_by_the_short_names(
    minimal: asyncpg.Connection, pool: db.Pool
) -> None:
    request_id = await pool.fetchval(
        "INSERT INTO media_analysis_requests (media_path) VALUES ('/x.mp4') RETURNING request_id"
    )
    await pool.execute(
        "INSERT INTO media_analysis_results (request_id, result_type, provider, content_json)"
        " VALUES ($1, 'metadata_extraction', 'internal', $2)",
        request_id,
        {"fps": 25},
    )
    file_id = await pool.fetchval(
        "INSERT INTO media_files (request_id, file_type, file_path)"
        " VALUES ($1, 'contact_sheet', '/out/sheet.jpg') RETURNING file_id",
        request_id,
    )
    await pool.execute(
        "INSERT INTO contact_sheets (request_id, file_id, frame_count, frames_per_sheet)"
        " VALUES ($1, $2, 6, 6)",
        request_id,
        file_id,
    )
    assert await minimal.fetchval("SELECT media_url FROM media_analysis_requests") == "/x.mp4"
    row = await minimal.fetchrow("SELECT result_text, model_used FROM media_analysis_results")
    assert tuple(row) == ('{"fps": 25}', "internal")
    assert await minimal.fetchval("SELECT filename FROM media_files") == "sheet.jpg"
    row = await minimal.fetchrow("SELECT storage_path, grid_layout FROM contact_sheets")
    assert tuple(row) == ("/out/sheet.jpg", "2x3")

    # The prompt was never given, which the older form would not allow; the row can still be ended.
    done = "UPDATE media_analysis_requests SET status = 'completed', model_used = 'm'"
    assert await minimal.execute(done) == "UPDATE 1"
    await minimal.execute("UPDATE media_analysis_results SET cost_usd = 1")
    assert await pool.fetchval("SELECT content_json FROM media_analysis_results") == {"fps": 25}
    await minimal.execute("UPDATE media_files SET expires_at = now()")
    await minimal.execute("DELETE FROM media_files")
    assert await minimal.execute("DELETE FROM media_analysis_requests") == "DELETE 1"
    assert await pool.fetchval("SELECT count(*) FROM contact_sheets") == 0


async def test_a_client_with_the_views_alone_needs_no_right_on_the_tables(
    minimal: asyncpg.Connection, admin: asyncpg.Connection
) -> None:
    role = f"older_{uuid4().hex}"
    await admin.execute(f"CREATE ROLE {role}")
    try:
        await minimal.execute(f"GRANT USAGE ON SCHEMA minimal TO {role}")
        await minimal.execute(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA minimal TO {role}"
        )
        await minimal.execute(f"SET ROLE {role}")
        for statements in CONVERSATIONS.values():
            for statement in statements:
                assert await answer(minimal, statement) != "InsufficientPrivilegeError"
            for table in TABLES:
                await minimal.execute(f"DELETE FROM {table}")  # noqa: S608 - a name of a test
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await minimal.execute("SELECT * FROM public.media_files")
        await minimal.execute("RESET ROLE")
        await minimal.execute(f"DROP OWNED BY {role}")
    finally:
        await admin.execute(f"DROP ROLE {role}")


async def test_times_keep_their_microseconds(minimal: asyncpg.Connection) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    await minimal.execute(INSERT)
    await minimal.execute(
        "UPDATE media_analysis_requests SET status = 'completed', completed_at = $1", at
    )
    assert await minimal.fetchval("SELECT completed_at FROM media_analysis_requests") == at
