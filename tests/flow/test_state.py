"""The state machine and the fence, tried as any SQL client could."""

from __future__ import annotations

import json
import os
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from mediaq import db, store
from mediaq.model import Made, MadeFile, MadeResult, Request, Stored
from mediaq.views import Detail
from tests.conftest import Insert, claim

STATES = ("pending", "processing", "completed", "failed", "cancelled")
LEGAL = {
    ("pending", "processing"),
    ("pending", "cancelled"),
    ("processing", "completed"),
    ("processing", "failed"),
    ("processing", "cancelled"),
    ("processing", "pending"),
    ("failed", "pending"),
    ("cancelled", "pending"),
}


async def bring(pool: db.Pool, insert: Insert, status: str) -> UUID:
    """Insert a request and lead it to ``status`` the legal way."""
    request_id = await insert(media_path="/x.mp4")
    way = (
        []
        if status == "pending"
        else ["processing", status]
        if status != "processing"
        else [status]
    )
    for stop in way:
        await set_status(pool, request_id, stop)
    return request_id


async def set_status(pool: db.Pool, request_id: UUID, status: str) -> None:
    await pool.execute(
        "UPDATE media_analysis_requests SET status = $2 WHERE request_id = $1", request_id, status
    )


async def row(pool: db.Pool, request_id: UUID) -> asyncpg.Record:
    found = await pool.fetchrow(
        "SELECT * FROM media_analysis_requests WHERE request_id = $1", request_id
    )
    assert found is not None
    return found


async def jobs(pool: db.Pool, request_id: UUID) -> list[asyncpg.Record]:
    return await pool.fetch(
        "SELECT * FROM mediaq.procrastinate_jobs WHERE args ->> 'request_id' = $1 ORDER BY id",
        str(request_id),
    )


@pytest.mark.parametrize("before", STATES)
@pytest.mark.parametrize("after", STATES)
async def test_a_change_of_status_is_made_or_refused_in_words(
    pool: db.Pool, insert: Insert, before: str, after: str
) -> None:
    request_id = await bring(pool, insert, before)
    if before == after or (before, after) in LEGAL:
        await set_status(pool, request_id, after)
        assert (await row(pool, request_id))["status"] == after
        return
    wanted = (
        f"a completed request cannot become {after}; insert a new request"
        if before == "completed"
        else f"a request cannot go from {before} to {after}"
    )
    with pytest.raises(asyncpg.InvalidParameterValueError) as refused:
        await set_status(pool, request_id, after)
    assert str(refused.value).splitlines()[0] == wanted
    assert (await row(pool, request_id))["status"] == before


async def test_an_unknown_status_is_refused_with_those_that_exist(
    pool: db.Pool, insert: Insert
) -> None:
    request_id = await insert(media_path="/x.mp4")
    with pytest.raises(asyncpg.InvalidParameterValueError, match='cancelled, not "done"'):
        await set_status(pool, request_id, "done")


async def test_times_and_attempt_are_kept_by_the_database_alone(
    pool: db.Pool, insert: Insert
) -> None:
    request_id = await insert(
        media_path="/x.mp4", attempt=7, failed_attempts=3, processing_time_ms=1
    )
    new = await row(pool, request_id)
    assert (new["attempt"], new["failed_attempts"], new["started_at"]) == (0, 0, None)

    await set_status(pool, request_id, "processing")
    running = await row(pool, request_id)
    assert running["attempt"] == 1
    assert running["started_at"] is not None

    await pool.execute(
        "UPDATE media_analysis_requests SET attempt = 9, started_at = NULL, completed_at = now()"
    )
    same = await row(pool, request_id)
    assert (same["attempt"], same["started_at"]) == (1, running["started_at"])
    assert same["completed_at"] is None

    await set_status(pool, request_id, "failed")
    over = await row(pool, request_id)
    assert over["completed_at"] >= over["started_at"]
    took = (over["completed_at"] - over["started_at"]).total_seconds() * 1000
    assert over["processing_time_ms"] == pytest.approx(took, abs=1)

    await pool.execute(
        "UPDATE media_analysis_requests SET error_message = 'was broken', failed_attempts = 4"
    )
    await set_status(pool, request_id, "pending")
    again = await row(pool, request_id)
    assert (again["attempt"], again["failed_attempts"]) == (1, 0)
    assert (again["error_message"], again["completed_at"]) == (None, None)


async def test_asking_again_queues_again_in_the_same_transaction(
    pool: db.Pool, insert: Insert
) -> None:
    request_id = await bring(pool, insert, "failed")
    assert len(await jobs(pool, request_id)) == 1
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("UPDATE media_analysis_requests SET status = 'pending'")
        await transaction.rollback()
    assert len(await jobs(pool, request_id)) == 1
    await set_status(pool, request_id, "pending")
    assert len(await jobs(pool, request_id)) == 2


async def test_a_rolled_back_insert_leaves_no_job_and_no_event(pool: db.Pool) -> None:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("INSERT INTO media_analysis_requests (media_path) VALUES ('/x')")
        await transaction.rollback()
    assert await pool.fetchval("SELECT count(*) FROM mediaq.procrastinate_jobs") == 0
    assert await pool.fetchval("SELECT count(*) FROM mediaq.events") == 0


async def test_one_statement_queues_all_of_its_rows(pool: db.Pool) -> None:
    await pool.execute(
        "INSERT INTO media_analysis_requests (media_type, media_path, priority)"
        " SELECT 'video', '/' || n, n % 3 FROM generate_series(1, 2000) n"
    )
    queued = await pool.fetch(
        "SELECT j.* FROM mediaq.procrastinate_jobs j JOIN media_analysis_requests r"
        " ON r.request_id::text = j.args ->> 'request_id' AND r.priority = j.priority"
        " WHERE j.queue_name = 'video' AND j.status = 'todo'"
    )
    assert len(queued) == 2000


async def test_an_insert_of_no_rows_is_nothing(pool: db.Pool) -> None:
    await pool.execute("INSERT INTO media_analysis_requests (media_path) SELECT '/x' WHERE false")
    await pool.execute("UPDATE media_analysis_requests SET status = 'cancelled'")


async def test_explicit_nulls_become_the_defaults(pool: db.Pool, insert: Insert) -> None:
    names = [
        *("request_id", "media_type", "status", "created_at", "error_details", "user_metadata"),
        *("provider_chain", "api_costs", "priority", "options", "attempt", "failed_attempts"),
        *("media_url", "prompt", "run_after", "callback_url", "idempotency_key", "created_by"),
    ]
    request_id = await insert(media_path="/x.mp4", **dict.fromkeys(names))
    made = await row(pool, request_id)
    assert (made["media_type"], made["status"], made["priority"]) == ("auto", "pending", 0)
    assert (made["options"], made["provider_chain"], made["attempt"]) == ({}, [], 0)
    assert made["created_at"] is not None


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (
            {},
            "a request needs media_url (http or https) or media_path (a file under the media",
        ),
        ({"media_url": " ", "media_path": ""}, "a request needs media_url (http or https) or"),
        (
            {"media_url": "ftp://x/y"},
            'media_url must start with http:// or https://, not "ftp://x/y"',
        ),
        ({"media_path": "/x", "callback_url": "x"}, "callback_url must start with http"),
        (
            {"media_path": "/x", "media_type": "film"},
            'media_type must be video, audio, document or auto, not "film"',
        ),
        (
            {"media_path": "/x", "status": "completed"},
            'a new request starts as pending, not "completed"',
        ),
        ({"media_path": "/x", "prompt": "x" * 100_001}, "prompt must have at most 100000 char"),
        ({"media_path": "x" * 9000}, "media_url, media_path and callback_url must have at most"),
        (
            {"media_path": "/x", "user_metadata": {"x": os.urandom(2**20).hex()}},
            "user_metadata must",
        ),
        ({"media_path": "/x", "priority": 5000}, "priority must be from -1000 to 1000, not 5000"),
        (
            {"media_path": "/x", "options": {"grids": "2x3"}},
            'unknown option "grids"; the options are exact,',
        ),
        (
            {"media_path": "/x", "options": {"grid": "2*3"}},
            "option grid must be columns x rows from",
        ),
    ],
)
async def test_nonsense_is_refused_in_one_sentence(
    insert: Insert, pool: db.Pool, columns: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError) as refused:
        await insert(**({"prompt": "x"} | columns))
    assert str(refused.value).startswith(sentence)
    assert "\n" not in str(refused.value)
    assert await pool.fetchval("SELECT count(*) FROM media_analysis_requests") == 0


@pytest.mark.parametrize("column", ["created_at", "run_after"])
@pytest.mark.parametrize("when", ["infinity", "-infinity", "20000-01-01", "0044-03-15 BC"])
async def test_a_time_that_not_every_client_can_read_is_refused(
    pool: db.Pool, insert: Insert, column: str, when: str
) -> None:
    add = f"INSERT INTO media_analysis_requests (media_path, {column}) VALUES ('/x', '{when}')"  # noqa: S608 - names of a test
    change = f"UPDATE media_analysis_requests SET {column} = '{when}'"  # noqa: S608 - names of a test
    await insert(media_path="/x")
    for statement in (add, change):
        with pytest.raises(asyncpg.InvalidParameterValueError, match=f"{column} must be a time"):
            await pool.execute(statement)


async def test_a_request_that_shall_run_sooner_is_queued_for_sooner(
    pool: db.Pool, insert: Insert
) -> None:
    request_id = await insert(media_path="/x")
    await pool.execute("UPDATE media_analysis_requests SET run_after = now() + interval '1 day'")
    await pool.execute("DELETE FROM mediaq.procrastinate_jobs")
    await pool.execute("UPDATE media_analysis_requests SET run_after = NULL")
    (job,) = await jobs(pool, request_id)
    assert job["scheduled_at"] is None


async def test_status_null_is_refused_in_words(pool: db.Pool, insert: Insert) -> None:
    await insert(media_path="/x")
    with pytest.raises(asyncpg.InvalidParameterValueError, match="cancelled, not NULL"):
        await pool.execute("UPDATE media_analysis_requests SET status = NULL")


async def test_a_role_with_insert_alone_queues_a_request(
    pool: db.Pool, admin: asyncpg.Connection
) -> None:
    role = f"client_{uuid4().hex}"
    await admin.execute(f"CREATE ROLE {role}")
    try:
        async with pool.acquire() as connection:
            await connection.execute(f"GRANT INSERT ON media_analysis_requests TO {role}")
            await connection.execute(f"SET ROLE {role}")
            await connection.execute(
                "INSERT INTO media_analysis_requests (media_path) VALUES ('/x')"
            )
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("SELECT * FROM mediaq.events")
            await connection.execute("RESET ROLE")
            assert await connection.fetchval("SELECT count(*) FROM mediaq.procrastinate_jobs") == 1
            await connection.execute(f"DROP OWNED BY {role}")
    finally:
        await admin.execute(f"DROP ROLE {role}")


async def test_a_name_planted_in_public_is_never_called(pool: db.Pool, insert: Insert) -> None:
    """Whoever may create in public must not be able to run code as the owner of the triggers."""
    for name, args in (("queue_jobs", "uuid[]"), ("options_problem", "jsonb"), ("lower", "text")):
        await pool.execute(
            f"CREATE FUNCTION public.{name}({args}) RETURNS text LANGUAGE plpgsql"
            " AS $$BEGIN RAISE EXCEPTION 'planted'; END$$"
        )
    async with pool.acquire() as connection:
        await connection.execute("SET search_path = public, pg_catalog")
        await connection.execute("INSERT INTO media_analysis_requests (media_path) VALUES ('/x')")


# --- the fence --------------------------------------------------------------------------------


def made(name: str = "sheet.jpg") -> Made:
    stored = Stored(file_path=f"/{name}", size_bytes=1, sha256="0" * 64, location="local")
    return Made(
        files=[MadeFile(name=name, file_type="frame", stored=stored, mime_type="image/jpeg")],
        results=[MadeResult(result_type="metadata_extraction", content="x", content_json={})],
    )


async def claimed(pool: db.Pool, request_id: UUID) -> Request:
    request = await claim(pool, request_id)
    assert request is not None
    return request


async def record(pool: db.Pool, request: Request) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await store.record_step(connection, request, "metadata", made(), 1, "video")


async def written(pool: db.Pool) -> int:
    total: int = await pool.fetchval(
        "SELECT (SELECT count(*) FROM media_files) + (SELECT count(*) FROM media_analysis_results)"
        " + (SELECT count(*) FROM contact_sheets) + (SELECT count(*) FROM mediaq.steps)"
        " + (SELECT count(*) FROM mediaq.events WHERE event IN ('step.finished', 'progress'))"
    )
    return total


async def test_a_late_attempt_can_write_nothing(pool: db.Pool, insert: Insert) -> None:
    request_id = await insert(media_path="/x.mp4")
    late = await claimed(pool, request_id)
    await set_status(pool, request_id, "pending")
    current = await claimed(pool, request_id)
    assert (late.attempt, current.attempt) == (1, 2)

    with pytest.raises(store.Superseded):
        await record(pool, late)
    async with pool.acquire() as connection, connection.transaction():
        await store.tell_progress(connection, [(late, {"fraction": 0.5})])
    assert not await store.complete(pool, late)
    assert not await store.fail(pool, late, "late", {})
    assert not await store.retry(pool, late, "late", {}, 0)
    assert not await store.give_back(pool, late)
    assert await written(pool) == 0
    assert (await row(pool, request_id))["status"] == "processing"

    await record(pool, current)
    assert await store.complete(pool, current)


@pytest.mark.parametrize("end", ["cancelled", "failed", "completed", "DELETE"])
async def test_an_attempt_whose_request_has_ended_can_write_nothing(
    pool: db.Pool, insert: Insert, end: str
) -> None:
    request_id = await insert(media_path="/x.mp4")
    request = await claimed(pool, request_id)
    if end == "DELETE":
        await pool.execute("DELETE FROM media_analysis_requests")
    else:
        await set_status(pool, request_id, end)
    with pytest.raises(store.Superseded):
        await record(pool, request)
    assert not await store.complete(pool, request)
    assert await written(pool) == 0


async def test_a_request_is_claimed_once_and_only_when_it_is_due(
    pool: db.Pool, insert: Insert
) -> None:
    request_id = await insert(media_path="/x.mp4")
    assert await claim(pool, request_id) is not None
    assert await claim(pool, request_id) is None
    assert await claim(pool, uuid4()) is None
    later = await pool.fetchval(
        "INSERT INTO media_analysis_requests (media_path, run_after)"
        " VALUES ('/x', now() + interval '1 hour') RETURNING request_id"
    )
    assert await claim(pool, later) is None
    (job,) = await jobs(pool, later)
    assert job["scheduled_at"] is not None


async def test_options_that_n8n_sends_with_nulls_are_read_as_defaults(
    pool: db.Pool, insert: Insert
) -> None:
    request_id = await insert(media_path="/x.mp4", options={"frames": None, "grid": "4x6"})
    request = await claimed(pool, request_id)
    assert (request.options.frames, request.options.columns, request.options.rows) == (None, 4, 6)


async def test_a_request_whose_options_cannot_be_read_fails_instead_of_hanging(
    pool: db.Pool, insert: Insert
) -> None:
    request_id = await insert(media_path="/x.mp4")
    await pool.execute("ALTER TABLE media_analysis_requests DISABLE TRIGGER mediaq_check_change")
    await pool.execute("""UPDATE media_analysis_requests SET options = '{"frames": -1}'""")
    await pool.execute("ALTER TABLE media_analysis_requests ENABLE TRIGGER mediaq_check_change")
    assert await claim(pool, request_id) is None
    failed = await row(pool, request_id)
    assert failed["status"] == "failed"
    assert failed["error_message"].startswith("the options cannot be read:")


async def test_what_a_step_made_arrives_in_every_column(pool: db.Pool, insert: Insert) -> None:
    request_id = await insert(media_path="/x.mp4")
    request = await claimed(pool, request_id)
    await record(pool, request)
    await store.complete(pool, request)
    text = await store.detail(pool, request_id)
    assert text is not None
    detail = Detail.model_validate_json(text)
    assert (detail.status, detail.media_type) == ("completed", "video")
    assert [file.checksum for file in detail.files] == ["0" * 64]
    assert [result.processing_time_ms for result in detail.results] == [1]
    assert [step.step for step in detail.steps] == ["metadata"]
    # What the database writes is what the model says, to the field.
    written, said = json.loads(text), json.loads(detail.model_dump_json())
    assert said.keys() <= written.keys()
    for part in ("results", "files", "steps", "attempts"):
        assert said[part][0].keys() <= written[part][0].keys(), part
