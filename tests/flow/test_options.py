"""The database and the model agree on every line of one table of options."""

from __future__ import annotations

import json

import asyncpg
import pytest

from mediaq import db
from mediaq.model import Options
from tests.conftest import claim
from tests.unit.test_options import BAD, GOOD

Judged = dict[str, str | None]


async def judged(pool: db.Pool, texts: list[str]) -> Judged:
    """Ask the database what is wrong with each text; what is no JSON to it is wrong too."""
    problems: Judged = {}
    for text in texts:
        try:
            problems[text] = await pool.fetchval(
                "SELECT mediaq.options_problem($1::text::jsonb)", text
            )
        except asyncpg.DataError as error:
            problems[text] = str(error.args[0])
    return problems


async def test_the_database_takes_what_the_model_takes(pool: db.Pool) -> None:
    problems = await judged(pool, GOOD)
    assert {text: problem for text, problem in problems.items() if problem is not None} == {}


async def test_the_database_refuses_what_the_model_refuses(pool: db.Pool) -> None:
    problems = await judged(pool, BAD)
    assert [text for text, problem in problems.items() if problem is None] == []


async def test_every_refusal_is_one_sentence(pool: db.Pool) -> None:
    problems = await judged(pool, BAD)
    assert not [problem for problem in problems.values() if problem and "\n" in problem]


async def test_what_the_database_stored_can_be_claimed(pool: db.Pool) -> None:
    """A row whose options the worker cannot read would never end."""
    for text in GOOD:
        request_id = await pool.fetchval(
            "INSERT INTO media_analysis_requests (media_path, options, group_key)"
            " VALUES ('x', $1::text::jsonb, 'someone') RETURNING request_id",
            text,
        )
        request = await claim(pool, request_id)
        assert request is not None
        assert request.options == Options.model_validate_json(text)


@pytest.mark.parametrize("text", ['{"frames": 0}', '{"frames": "5"}', '{"x": 1}', "[]", '"x"'])
async def test_a_row_with_bad_options_is_refused_in_words(pool: db.Pool, text: str) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError, match="option"):
        await pool.execute(
            "INSERT INTO media_analysis_requests (media_path, options) VALUES ('x', $1)",
            json.loads(text),
        )


async def test_null_stands_for_no_options(pool: db.Pool) -> None:
    stored = await pool.fetch(
        "INSERT INTO media_analysis_requests (media_path, options)"
        " VALUES ('x', NULL), ('x', 'null') RETURNING options"
    )
    assert [row["options"] for row in stored] == [{}, {}]
