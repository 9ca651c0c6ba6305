"""Databases that hold tables already: every row is kept, and what waits gets its job."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from mediaq import db, events, migrate
from mediaq.errors import Rejected
from mediaq.model import TERMINAL
from mediaq.settings import Database, Settings
from tests.conftest import working
from tests.flow.test_cli import run
from tests.flow.test_minimal import CONTRACT as SHORT
from tests.flow.test_minimal import CONVERSATIONS, FOLDER, TABLES, answer
from tests.flow.test_schema import apply_contract

ROWS = (FOLDER / "minimal-rows.sql").read_text()


def number(last: int) -> UUID:
    return UUID(int=last)


async def everything(connection: asyncpg.Connection, schema: str) -> dict[str, list[Any]]:
    return {
        table: [
            json.loads(row[0])
            for row in await connection.fetch(
                f"SELECT to_jsonb(x)::text FROM {schema}.{table} AS x ORDER BY id"  # noqa: S608 - names of a test
            )
        ]
        for table in TABLES
    }


@pytest.fixture
async def connection(empty_database: Database) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(
        empty_database.dsn.get_secret_value(), server_settings={"timezone": "UTC"}
    )
    yield opened
    await opened.close()


async def take_over(database: Database) -> None:
    await migrate.migrate(database, tell=lambda _: None)


async def refusal(database: Database) -> str:
    with pytest.raises(Rejected) as refused:
        await take_over(database)
    assert "\n" not in refused.value.message
    return refused.value.message


# --- the older short form ---------------------------------------------------------------------


async def test_every_row_of_the_older_form_is_there_by_its_id_and_as_it_was(
    connection: asyncpg.Connection, empty_database: Database
) -> None:
    await connection.execute(SHORT.read_text())
    await connection.execute(ROWS)
    before = await everything(connection, "public")
    await take_over(empty_database)

    assert await everything(connection, "mediaq_adopted") == before
    after = await everything(connection, "minimal")
    pictures = [file for file in after["media_files"] if file["id"] != str(number(0x21))]
    assert [file["storage_path"] for file in pictures] == ["/s/1.jpg"]
    after["media_files"] = [file for file in after["media_files"] if file not in pictures]
    requests = after.pop("media_analysis_requests")
    wanted = before.pop("media_analysis_requests")
    assert after == before
    for row in (*wanted, *requests):
        if row["id"] in {str(number(5)), str(number(6))}:
            for name in ("error_message", "completed_at", "created_at"):
                del row[name]
    wanted[3]["status"] = "pending"
    wanted[4]["status"] = "failed"
    wanted[5]["status"] = "cancelled"
    assert requests == wanted


async def test_an_unknown_status_fails_and_says_so(
    connection: asyncpg.Connection, empty_database: Database
) -> None:
    await connection.execute(SHORT.read_text())
    await connection.execute(ROWS)
    await take_over(empty_database)
    row = await connection.fetchrow(
        "SELECT * FROM public.media_analysis_requests WHERE request_id = $1", number(5)
    )
    assert row is not None
    assert row["status"] == "failed"
    assert row["error_message"] == (
        'the row had the status "waiting "x"" when mediaq took it over, which mediaq does not know;'
        " its error was: was slow"
    )
    assert json.loads(row["error_details"]) == {"class": "Adopted", "status": 'waiting "x"'}
    assert row["completed_at"] is not None


async def test_what_waited_in_the_older_form_is_analysed_and_what_had_ended_is_not(
    connection: asyncpg.Connection, empty_database: Database, settings: Settings, video: Path
) -> None:
    await connection.execute(SHORT.read_text())
    await connection.execute(ROWS.replace("{video}", str(video)))
    await take_over(empty_database)
    jobs = await connection.fetch("SELECT args ->> 'request_id' FROM mediaq.procrastinate_jobs")
    assert sorted(row[0] for row in jobs) == [str(number(3)), str(number(4))]
    async with (
        db.pool(empty_database, name="test") as pool,
        events.bells(empty_database) as bells,
        working(settings, empty_database),
    ):
        told = []
        for request in (3, 4):
            async for event in events.of_request(pool, bells, number(request)):
                told.append((request, event.event))
                if event.event in TERMINAL:
                    break
    assert told[0] == (3, "pending")
    assert {(3, "completed"), (4, "failed")} <= set(told)
    sheets = await connection.fetch(
        "SELECT request_id, count(*) FROM public.contact_sheets GROUP BY request_id ORDER BY 1"
    )
    assert [row["request_id"] for row in sheets] == [number(1), number(3)]


async def test_older_clients_go_on_with_the_rights_that_they_had(
    connection: asyncpg.Connection, empty_database: Database, admin: asyncpg.Connection
) -> None:
    role = f"app_{uuid4().hex}"
    await admin.execute(f"CREATE ROLE {role}")
    try:
        await connection.execute(SHORT.read_text())
        await connection.execute(
            f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {role}"
        )
        await take_over(empty_database)
        await connection.execute(f"SET ROLE {role}")
        await connection.execute("SET search_path = minimal, public")
        for statement in CONVERSATIONS["after_processing"]:
            assert isinstance(await answer(connection, statement), tuple)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM media_files")
        await connection.execute("RESET ROLE")
        await connection.execute(f"DROP OWNED BY {role}")
    finally:
        await admin.execute(f"DROP ROLE {role}")


async def test_taking_over_again_changes_nothing(
    connection: asyncpg.Connection, empty_database: Database
) -> None:
    await connection.execute(SHORT.read_text())
    await connection.execute(ROWS)
    await take_over(empty_database)
    once = await everything(connection, "minimal")
    await take_over(empty_database)
    assert await everything(connection, "minimal") == once
    assert await connection.fetchval("SELECT count(*) FROM mediaq.procrastinate_jobs") == 2


async def test_a_takeover_that_fails_halfway_leaves_everything_as_it_was(
    connection: asyncpg.Connection, empty_database: Database
) -> None:
    await connection.execute(SHORT.read_text())
    await connection.execute(ROWS)
    before = await everything(connection, "public")
    # A cost that the full form cannot hold is met only after thousands of rows went well.
    await connection.execute("ALTER TABLE media_analysis_results ALTER cost_usd TYPE numeric")
    await connection.execute("UPDATE media_analysis_results SET cost_usd = 1e20 WHERE cost_usd > 0")
    with pytest.raises(asyncpg.NumericValueOutOfRangeError):
        await take_over(empty_database)
    assert await connection.fetchval("SELECT to_regnamespace('mediaq_adopted')") is None
    await connection.execute(
        "UPDATE media_analysis_results SET cost_usd = 0.001234 WHERE cost_usd > 0"
    )
    assert await everything(connection, "public") == before
    await take_over(empty_database)
    assert len((await everything(connection, "minimal"))["media_analysis_requests"]) == 6


async def test_what_another_script_added_to_the_older_form_is_kept(
    connection: asyncpg.Connection, empty_database: Database
) -> None:
    await connection.execute(SHORT.read_text())
    await connection.execute(
        "ALTER TABLE media_analysis_requests ADD COLUMN team text, ADD COLUMN score int NOT NULL"
        " DEFAULT 7, DROP COLUMN latency_ms, ALTER COLUMN model_used TYPE text,"
        " ALTER COLUMN status TYPE text, ALTER COLUMN created_at TYPE timestamp;"
        "CREATE INDEX idx_media_requests_status ON media_analysis_requests (status, team);"
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER touch BEFORE UPDATE ON media_analysis_requests FOR EACH ROW"
        " EXECUTE FUNCTION touch();"
        "INSERT INTO media_analysis_requests (media_url, prompt, media_type, team, model_used)"
        " VALUES ('/a.mp4', 'p', 'video', 'red', repeat('m', 200))"
    )
    await take_over(empty_database)
    row = await connection.fetchrow("SELECT * FROM public.media_analysis_requests")
    assert row is not None
    assert json.loads(row["user_metadata"]) == {"adopted": {"team": "red", "score": 7}}
    assert row["model_used"] == "m" * 100
    assert (
        await connection.fetchval(
            "SELECT length(model_used) FROM mediaq_adopted.media_analysis_requests"
        )
        == 200
    )
    index = "SELECT indexdef FROM pg_indexes WHERE schemaname = $1 AND indexname = $2"
    for schema, ending in (("public", "(status)"), ("mediaq_adopted", "(status, team)")):
        text = await connection.fetchval(index, schema, "idx_media_requests_status")
        assert text.endswith(ending)


async def test_rows_whose_request_is_gone_are_kept_with_its_id(
    connection: asyncpg.Connection, empty_database: Database
) -> None:
    await connection.execute(SHORT.read_text())
    await connection.execute(
        "ALTER TABLE media_analysis_results DROP CONSTRAINT media_analysis_results_request_id_fkey;"
        "INSERT INTO media_analysis_results (request_id, result_text, model_used)"
        " VALUES ('00000000-0000-0000-0000-000000000099', 'orphan', 'm')"
    )
    await take_over(empty_database)
    assert await connection.fetchval(
        "SELECT request_id FROM minimal.media_analysis_results"
    ) == number(0x99)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            "CREATE VIEW waiting AS SELECT id FROM media_analysis_requests",
            "the view public.waiting reads public.media_analysis_requests, which has the older",
        ),
        (
            "CREATE TABLE notes (request_id uuid REFERENCES media_analysis_requests (id))",
            "the table public.notes refers to public.media_analysis_requests, which has the older",
        ),
        (
            "ALTER TABLE contact_sheets DROP COLUMN id; ALTER TABLE contact_sheets ADD id serial",
            "public.contact_sheets.id has type integer; the older short form has uuid",
        ),
        (
            "ALTER TABLE media_files DROP COLUMN storage_path",
            "public.media_files has neither the full form (file_id) nor the older short form (id,",
        ),
        (
            "DROP TABLE media_files; CREATE VIEW media_files AS SELECT 1 AS id",
            "public.media_files is not a plain table",
        ),
        (
            "DROP TABLE media_files; CREATE TABLE media_files (file_id uuid)",
            "public.media_analysis_requests has the older short form, but public.media_files the",
        ),
    ],
)
async def test_what_cannot_be_taken_over_is_refused_in_one_sentence_and_left_as_it_is(
    connection: asyncpg.Connection, empty_database: Database, change: str, sentence: str
) -> None:
    await connection.execute(SHORT.read_text())
    await connection.execute(change)
    assert (await refusal(empty_database)).startswith(sentence)
    assert await connection.fetchval("SELECT to_regnamespace('mediaq_adopted')") is None
    assert await connection.fetchval("SELECT count(*) FROM public.media_analysis_requests") == 0


async def test_the_command_says_a_refusal_in_one_sentence(
    connection: asyncpg.Connection, empty_database: Database, tmp_path: Path
) -> None:
    await connection.execute("CREATE TABLE media_files (id int)")
    refused = await run(
        {"DATABASE_URL": empty_database.dsn.get_secret_value(), "MEDIAQ_HOME": str(tmp_path)},
        "migrate",
    )
    assert refused.code == 2
    assert refused.err.startswith("mediaq: public.media_files has neither the full form")
    assert len(refused.err.splitlines()) == 1


# --- the full form ----------------------------------------------------------------------------

FULL_ROWS = (FOLDER / "full-rows.sql").read_text()


async def test_a_database_in_the_full_form_keeps_its_rows_and_what_waits_is_analysed(
    connection: asyncpg.Connection, empty_database: Database, settings: Settings, video: Path
) -> None:
    await apply_contract(connection)
    await connection.execute(
        "ALTER TABLE media_analysis_requests ADD COLUMN team text NOT NULL DEFAULT 'red';"
        "CREATE VIEW waiting AS SELECT * FROM media_analysis_requests WHERE status = 'pending';"
        "CREATE INDEX theirs ON media_analysis_requests (team)"
    )
    await connection.execute(FULL_ROWS.replace("{video}", str(video)))
    rows = "SELECT * FROM media_analysis_requests ORDER BY request_id"
    before = await connection.fetch(rows)
    await take_over(empty_database)
    after = await connection.fetch(rows)
    for old, new in zip(before, after, strict=True):
        assert dict(old).items() <= dict(new).items()
        assert (new["attempt"], new["options"]) == (0, "{}")
    assert await connection.fetchval("SELECT count(*) FROM media_files") == 1
    assert await connection.fetchval("SELECT count(*) FROM waiting") == 2
    assert await connection.fetchval("SELECT to_regnamespace('mediaq_adopted')") is None

    jobs = await connection.fetch("SELECT args ->> 'request_id' FROM mediaq.procrastinate_jobs")
    assert sorted(row[0] for row in jobs) == [str(number(2)), str(number(3))]
    async with (
        db.pool(empty_database, name="test") as pool,
        events.bells(empty_database) as bells,
        working(settings, empty_database),
    ):
        for request, end in ((2, "completed"), (3, "failed")):
            async for event in events.of_request(pool, bells, number(request)):
                if event.event in TERMINAL:
                    assert (request, event.event) == (request, end)
                    break
    left = await connection.fetchval(
        "SELECT status FROM media_analysis_requests WHERE request_id = $1", number(4)
    )
    assert left == "processing"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            "ALTER TABLE media_files ADD COLUMN owner text NOT NULL",
            "public.media_files has a column owner of its own that must be filled and has no",
        ),
        (
            "ALTER TABLE media_analysis_requests DROP COLUMN error_details",
            "public.media_analysis_requests has no column error_details",
        ),
        (
            "ALTER TABLE contact_sheets ALTER frame_count TYPE text",
            "public.contact_sheets.frame_count has type text, not integer",
        ),
        (
            "ALTER TABLE contact_sheets DROP CONSTRAINT contact_sheets_pkey",
            "public.contact_sheets has no primary key on contact_sheet_id",
        ),
        (
            "ALTER TABLE media_files DROP CONSTRAINT media_files_request_id_fkey",
            "public.media_files.request_id has no foreign key to media_analysis_requests with ON",
        ),
        (
            (
                "ALTER TABLE media_analysis_requests DROP CONSTRAINT"
                " media_analysis_requests_status_check;"
                "INSERT INTO media_analysis_requests (media_type, status) VALUES ('video', 'done')"
            ),
            'a row of public.media_analysis_requests has the status "done", which the full form',
        ),
    ],
)
async def test_a_full_form_that_is_none_is_refused_in_one_sentence(
    connection: asyncpg.Connection, empty_database: Database, change: str, sentence: str
) -> None:
    await apply_contract(connection)
    await connection.execute(change)
    assert (await refusal(empty_database)).startswith(sentence)
    assert await connection.fetchval("SELECT to_regclass('mediaq.steps')") is None


async def test_the_full_form_of_the_contract_can_be_applied_again_afterwards(
    connection: asyncpg.Connection, empty_database: Database
) -> None:
    """As the other services do at every start of theirs."""
    await take_over(empty_database)
    await apply_contract(connection)
    await connection.execute("INSERT INTO media_analysis_requests (media_path) VALUES ('/x')")
    assert await connection.fetchval("SELECT count(*) FROM mediaq.procrastinate_jobs") == 1
