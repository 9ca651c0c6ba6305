"""Cancel, retry and delete on the command line: by id, by filter, refused in words."""

from __future__ import annotations

import json
from uuid import UUID, uuid4

import pytest

from mediaq import changes, db
from mediaq.changes import Filter
from mediaq.errors import Rejected
from tests.conftest import Insert
from tests.flow.test_cli import environment, run
from tests.flow.test_state import bring, row

__all__ = ["environment"]

Environment = dict[str, str]


async def status_of(pool: db.Pool, request_id: UUID) -> str:
    status: str = (await row(pool, request_id))["status"]
    return status


async def statuses(pool: db.Pool) -> list[str]:
    rows = await pool.fetch("SELECT status FROM media_analysis_requests ORDER BY media_path")
    return [found["status"] for found in rows]


async def test_named_requests_are_cancelled_asked_again_and_deleted(
    environment: Environment, pool: db.Pool, insert: Insert
) -> None:
    one, two = await bring(pool, insert, "pending"), await bring(pool, insert, "processing")
    told = await run(environment, "cancel", one, two)
    assert (told.code, told.out, told.err) == (0, f"{one} cancelled\n{two} cancelled\n", "")
    assert await statuses(pool) == ["cancelled"] * 2
    assert (await run(environment, "retry", one)).out == f"{one} retried\n"
    assert await status_of(pool, one) == "pending"
    told = await run(environment, "delete", one, "--json")
    assert json.loads(told.out) == [{"request_id": str(one), "deleted": True, "error": None}]
    assert await statuses(pool) == ["cancelled"]


async def test_a_refusal_is_a_sentence_and_holds_up_no_other(
    environment: Environment, pool: db.Pool, insert: Insert
) -> None:
    done, waits = await bring(pool, insert, "completed"), await bring(pool, insert, "pending")
    told = await run(environment, "cancel", done, waits)
    assert (told.code, told.out) == (1, f"{waits} cancelled\n")
    sentence = "a completed request cannot become cancelled; insert a new request"
    assert told.err == f"mediaq: {done}: {sentence}\n"
    told = await run(environment, "cancel", done, "--json")
    assert (told.code, told.err) == (1, "")
    assert json.loads(told.out) == [
        {"request_id": str(done), "cancelled": False, "error": sentence}
    ]

    nobody = uuid4()
    told = await run(environment, "delete", nobody)
    assert (told.code, told.out) == (2, "")
    assert told.err == f"mediaq: {nobody}: no request has the id {nobody}\n"


async def test_a_filter_changes_all_that_it_finds(
    environment: Environment, pool: db.Pool, insert: Insert
) -> None:
    for number, status in enumerate(("failed", "failed", "cancelled", "completed", "pending")):
        request_id = await bring(pool, insert, status)
        await pool.execute(
            "UPDATE media_analysis_requests SET media_path = $2, created_by = $3,"
            " created_at = now() - $4 * interval '1 day' WHERE request_id = $1",
            *(request_id, str(number), "me" if number else "you", number),
        )
    told = await run(environment, "retry", "--status", "failed", "--created-by", "you")
    assert (told.code, told.out) == (0, "retried 1 request\n")
    assert await statuses(pool) == ["pending", "failed", "cancelled", "completed", "pending"]
    told = await run(environment, "cancel", "--type", "auto", "--json")
    assert json.loads(told.out) == {"cancelled": 2}
    told = await run(environment, "delete", "--older-than", "60h")
    assert told.out == "deleted 2 requests\n"
    assert await statuses(pool) == ["cancelled", "failed", "cancelled"]
    assert (await run(environment, "retry", "--all")).out == "retried 3 requests\n"
    assert (await run(environment, "delete", "--status", "failed")).out == "deleted 0 requests\n"


async def test_nothing_named_and_both_named_are_wrong_calls(environment: Environment) -> None:
    for words in ((), (uuid4(), "--all"), (uuid4(), "--status", "failed")):
        told = await run(environment, "retry", *words)
        assert (told.code, told.out) == (2, "")
        assert "name requests by their ids, or a filter" in told.err
    told = await run(environment, "delete", "--older-than", "a while")
    assert (told.code, told.out) == (2, "")
    assert told.err == 'mediaq: invalid input syntax for type interval: "a while"\n'


async def test_a_running_request_is_not_asked_again(pool: db.Pool, insert: Insert) -> None:
    """Its worker may give it back; anybody else would start a second attempt beside the first."""
    request_id = await bring(pool, insert, "processing")
    with pytest.raises(Rejected, match="a running request cannot be asked again"):
        await changes.one(pool, "retry", request_id)
    assert await changes.many(pool, "retry", Filter()) == 0
    assert await status_of(pool, request_id) == "processing"


@pytest.mark.parametrize("change", ["cancel", "retry"])
async def test_a_change_that_is_made_already_is_no_failure(
    pool: db.Pool, insert: Insert, change: changes.Change
) -> None:
    request_id = await bring(pool, insert, "cancelled" if change == "cancel" else "pending")
    await changes.one(pool, change, request_id)
