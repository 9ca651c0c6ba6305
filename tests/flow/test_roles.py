"""The roles of deploy/sql: what each must be able to do it does, what it must not it is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from pydantic import SecretStr

from mediaq import db
from mediaq.settings import Database, Settings
from tests.conftest import Ended, working
from tests.flow.test_cli import environment as environment  # noqa: PLC0414 - a fixture
from tests.flow.test_cli import run
from tests.flow.test_minimal import CONVERSATIONS, answer

ROLES = Path(__file__).parent.parent.parent / "deploy" / "sql" / "roles.sql"

Login = Callable[[str], Awaitable[Database]]


@pytest.fixture
async def login(
    admin: asyncpg.Connection, database: Database, pool: db.Pool, psql_program: Path
) -> AsyncIterator[Login]:
    """Run the file as an operator does, twice; then make logins in its roles."""
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            *(psql_program, "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"),
            *("--file", ROLES, database.dsn.get_secret_value()),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd="/",
        )
        out, _ = await process.communicate()
        assert (process.returncode, out) == (0, b"")
    made: list[str] = []

    async def log_in(role: str) -> Database:
        name = f"login_{uuid4().hex}"
        await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x' IN ROLE {role}")
        made.append(name)
        address = database.address.partition("@")[2]
        return Database(dsn=SecretStr(f"postgresql://{name}:x@{address}"), source="test")

    yield log_in
    for name in made:
        await pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", name
        )
        await admin.execute(f"DROP ROLE {name}")


@pytest.fixture
async def client(login: Login) -> AsyncIterator[asyncpg.Connection]:
    """A connection of a login in mediaq_client."""
    opened = await asyncpg.connect((await login("mediaq_client")).dsn.get_secret_value())
    yield opened
    await opened.close()


INSERT = """
INSERT INTO media_analysis_requests (media_type, media_path, prompt, options, user_metadata, status)
VALUES ('video', '/x.mp4', 'what?', NULL, NULL, NULL) RETURNING *
"""


async def test_a_client_asks_reads_cancels_asks_again_and_is_told(
    client: asyncpg.Connection, pool: db.Pool
) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    await client.add_listener("mediaq_events", lambda *bell: heard.put_nowait(bell[3]))
    row = await client.fetchrow(INSERT)
    assert row is not None
    for status in ("cancelled", "pending", "cancelled"):
        await client.execute("UPDATE media_analysis_requests SET status = $1", status)
    bell = json.loads(await asyncio.wait_for(heard.get(), 10))
    assert bell["request_id"] == str(row["request_id"])
    assert await client.fetchval("SELECT count(*) FROM mediaq.events") == 4
    for table in ("media_analysis_results", "media_files", "contact_sheets"):
        assert await client.fetch(f"SELECT * FROM {table}") == []  # noqa: S608 - a name of a test
    assert await pool.fetchval("SELECT count(*) FROM mediaq.procrastinate_jobs") == 2


async def test_a_client_of_the_older_short_form_asks_and_reads(
    client: asyncpg.Connection,
) -> None:
    await client.execute("SET search_path = minimal, public")
    assert await client.fetchval(CONVERSATIONS["insert"][0])
    assert await client.fetchval("SELECT status FROM media_analysis_requests") == "pending"
    for table in ("media_analysis_results", "media_files", "contact_sheets"):
        assert await client.fetch(f"SELECT * FROM {table}") == []  # noqa: S608 - a name of a test


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO media_analysis_requests (media_path, attempt) VALUES ('/x', 1)",
        "INSERT INTO media_analysis_requests (media_path, model_used) VALUES ('/x', 'm')",
        "UPDATE media_analysis_requests SET status = 'processing'",
        "UPDATE media_analysis_requests SET media_path = '/y'",
        "UPDATE media_analysis_requests SET priority = 1",
        "UPDATE media_analysis_requests SET status = 'cancelled', error_message = 'x'",
        "DELETE FROM media_analysis_requests",
        "TRUNCATE media_analysis_requests CASCADE",
        "SELECT cleanup_old_requests()",
        (
            "INSERT INTO media_analysis_results (request_id, result_type, provider)"
            " SELECT request_id, 'summary', 'openai' FROM media_analysis_requests"
        ),
        (
            "INSERT INTO media_files (request_id, file_type, file_path)"
            " SELECT request_id, 'frame', '/etc/passwd' FROM media_analysis_requests"
        ),
        "UPDATE contact_sheets SET frame_count = 1",
        "CREATE TABLE public.mine ()",
        "CREATE TABLE mediaq.mine ()",
        "CREATE TABLE minimal.mine ()",
        "CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql AS 'SELECT $1'",
        (
            "CREATE TRIGGER mine AFTER INSERT ON media_analysis_requests"
            " EXECUTE FUNCTION mediaq.ring()"
        ),
        "ALTER TABLE media_analysis_requests DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        (
            "INSERT INTO mediaq.events (request_id, event, status, media_type, attempt)"
            " VALUES (gen_random_uuid(), 'completed', 'completed', 'video', 1)"
        ),
        "SELECT * FROM mediaq.procrastinate_jobs",
        "SELECT * FROM mediaq.migrations",
        "SELECT mediaq.queue_jobs(ARRAY[gen_random_uuid()])",
        (
            "CREATE TEMP TABLE mine (LIKE mediaq.events);"
            " CREATE TRIGGER mine AFTER INSERT ON mine REFERENCING NEW TABLE AS new_rows"
            " EXECUTE FUNCTION mediaq.ring()"
        ),
        "UPDATE minimal.media_analysis_requests SET status = 'completed'",
        "DELETE FROM minimal.media_analysis_requests",
        (
            "INSERT INTO minimal.media_analysis_requests (media_url, prompt, media_type, status)"
            " VALUES ('/x', 'p', 'video', 'completed')"
        ),
        "INSERT INTO minimal.media_files (filename, storage_path) VALUES ('x', 'x')",
        "SELECT * FROM mediaq.loose_files",
    ],
)
async def test_a_client_is_refused_what_is_not_its_own(
    client: asyncpg.Connection, pool: db.Pool, statement: str
) -> None:
    await client.execute(INSERT)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await client.execute(statement)
    assert await pool.fetchval("SELECT status FROM media_analysis_requests") == "pending"


@pytest.mark.parametrize("verdict", ["completed", "failed"])
async def test_a_client_records_no_verdict_on_a_running_request(
    client: asyncpg.Connection, pool: db.Pool, verdict: str
) -> None:
    await client.execute(INSERT)
    await pool.execute("UPDATE media_analysis_requests SET status = 'processing'")
    with pytest.raises(
        asyncpg.InsufficientPrivilegeError, match=f"pending or cancelled, not to {verdict}"
    ):
        await client.execute("UPDATE media_analysis_requests SET status = $1", verdict)


async def test_a_worker_and_its_commands_need_no_more_than_mediaq_worker(
    client: asyncpg.Connection,
    login: Login,
    settings: Settings,
    environment: dict[str, str],
    ended: Ended,
    video: Path,
) -> None:
    database = await login("mediaq_worker")
    async with working(settings, database):
        done = await client.fetchval(
            "INSERT INTO media_analysis_requests (media_path) VALUES ($1) RETURNING request_id",
            str(video),
        )
        failed = await client.fetchval(
            "INSERT INTO media_analysis_requests (media_path) VALUES ('/x') RETURNING request_id"
        )
        assert (await ended(done)).event == "completed"
        assert (await ended(failed)).event == "failed"
        environment |= {"DATABASE_URL": database.dsn.get_secret_value()}
        for words in (
            ("submit", "--wait", video),
            ("status",),
            ("status", done),
            ("migrate", "--status"),
            ("doctor",),
            ("cleanup", "--older-than", "0d"),
        ):
            command = await run(environment, *words)
            assert command.code == 0, command


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.mine ()",
        "CREATE TABLE mediaq.mine ()",
        "ALTER TABLE media_analysis_requests ADD COLUMN mine int",
        "ALTER TABLE media_analysis_requests DISABLE TRIGGER ALL",
        "CREATE TRIGGER mine AFTER INSERT ON media_files EXECUTE FUNCTION mediaq.ring()",
        "DROP TABLE mediaq.events",
        "TRUNCATE mediaq.events",
        "DELETE FROM mediaq.migrations",
        "UPDATE media_files SET file_path = '/x'",
        "DELETE FROM media_files",
    ],
)
async def test_a_worker_owns_nothing(login: Login, statement: str) -> None:
    worker = await asyncpg.connect((await login("mediaq_worker")).dsn.get_secret_value())
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await worker.execute(statement)
    finally:
        await worker.close()


async def test_a_client_that_analyses_by_itself_needs_no_more_than_mediaq_minimal(
    login: Login,
) -> None:
    outside = await asyncpg.connect(
        (await login("mediaq_minimal")).dsn.get_secret_value(),
        server_settings={"search_path": "minimal, public"},
    )
    try:
        for statement in CONVERSATIONS["after_processing"]:
            assert isinstance(await answer(outside, statement), tuple)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await outside.execute("SELECT * FROM public.media_analysis_requests")
    finally:
        await outside.close()


async def test_the_broad_grant_of_the_full_schema_works_too(
    admin: asyncpg.Connection, pool: db.Pool
) -> None:
    role = f"n8n_{uuid4().hex}"
    await admin.execute(f"CREATE ROLE {role}")
    contract = (Path(__file__).parent.parent / "contract" / "schema-full.sql").read_text()
    grants = contract[contract.index("-- Grant permissions") :].replace("TO n8n", f"TO {role}")
    async with pool.acquire() as connection:
        await connection.execute(grants)
        await connection.execute(f"SET ROLE {role}")
        assert await connection.fetchrow(INSERT)
        for status in ("cancelled", "pending", "processing", "completed"):
            await connection.execute("UPDATE media_analysis_requests SET status = $1", status)
        await connection.execute("SELECT cleanup_old_requests('0 days')")
        assert await connection.fetchval("SELECT count(*) FROM media_analysis_requests") == 0
        await connection.execute(INSERT)
        await connection.execute("DELETE FROM media_analysis_requests")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE public.mine ()")
        await connection.execute("RESET ROLE")
        await connection.execute(f"DROP OWNED BY {role}")
    await admin.execute(f"DROP ROLE {role}")


async def test_doctor_says_what_to_do_about_a_role_that_may_too_little(
    environment: dict[str, str], login: Login
) -> None:
    poor = await login("mediaq_client")
    environment["DATABASE_URL"] = poor.dsn.get_secret_value()
    done = await run(environment, "doctor")
    assert done.code == 1
    assert "permission denied" in done.out
    assert "make the role a member of mediaq_worker: deploy/sql/roles.sql" in done.out
