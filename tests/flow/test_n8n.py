"""The workflows for n8n fit the database: columns, channel, queries, rights; and hold no secret."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from mediaq import db, events
from tests.flow.test_roles import Login
from tests.flow.test_roles import login as login  # noqa: PLC0414 - a fixture

FOLDER = Path(__file__).parent.parent.parent / "deploy" / "n8n"
WORKFLOWS = {file.name: json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))}
ARRAY = re.compile(r"=\{\{ \[(.*)\] \}\}")

Node = dict[str, Any]


def nodes(kind: str, name: str | None = None) -> list[Node]:
    """Nodes of a kind, of one workflow or of all."""
    return [
        node
        for file, workflow in WORKFLOWS.items()
        for node in workflow["nodes"]
        if node["type"] == f"n8n-nodes-base.{kind}" and name in {None, file}
    ]


def queries() -> dict[str, Node]:
    return {
        f"{file}: {node['name']}": node["parameters"]
        for file in WORKFLOWS
        for node in nodes("postgres", file)
        if node["parameters"]["operation"] == "executeQuery"
    }


def values(expression: str) -> list[str]:
    """The members of an array expression, split at the commas outside of brackets and quotes."""
    found = ARRAY.fullmatch(expression)
    assert found is not None, expression
    parts, depth, quoted = [""], 0, False
    for char in found[1]:
        quoted ^= char == "'"
        depth += 0 if quoted else (char in "([{") - (char in ")]}")
        if char == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts]


@pytest.fixture
async def client(login: Login) -> AsyncIterator[asyncpg.Connection]:
    """A connection with the rights that the page advises."""
    opened = await asyncpg.connect((await login("mediaq_client")).dsn.get_secret_value())
    yield opened
    await opened.close()


@pytest.mark.parametrize("file", WORKFLOWS)
def test_a_workflow_is_whole_and_holds_no_credentials(file: str) -> None:
    workflow = WORKFLOWS[file]
    names = [node["name"] for node in workflow["nodes"]]
    assert len(set(names)) == len(names)
    assert len({node["id"] for node in workflow["nodes"]}) == len(names)
    linked = {
        (start, end["node"])
        for start, outputs in workflow["connections"].items()
        for output in outputs["main"]
        for end in output
    }
    assert {name for link in linked for name in link} == set(names) - {"About"}
    assert workflow["active"] is False
    # Without an id, n8n's own command cannot import it.
    assert workflow["id"] == f"mediaq-{file.removesuffix('.json')}"
    text = json.dumps(workflow)
    assert "credentials" not in text
    assert not re.search(r"password|secret|token|://[^/\s\"']*@", text, re.IGNORECASE)
    assert set(re.findall(r"https?://([^/\"']+)", text)) <= {"media.example"}
    for named in re.findall(r"\$\('([^']+)'\)", text):
        assert named in names


def test_the_page_names_every_workflow_and_no_other() -> None:
    page = (FOLDER / "README.md").read_text()
    links = set(re.findall(r"\]\(([^)]+)\)", page))
    assert {link for link in links if link.endswith(".json")} == set(WORKFLOWS)
    for link in links:
        assert (FOLDER / link).exists()


def test_a_bell_is_awaited_on_the_channel_of_ends_alone() -> None:
    triggers = nodes("postgresTrigger")
    assert triggers
    for trigger in triggers:
        assert trigger["parameters"]["triggerMode"] == "listenTrigger"
        assert trigger["parameters"]["channelName"] == events.CHANNELS[0] == "mediaq_events"


async def test_what_is_read_of_a_bell_is_in_it(client: asyncpg.Connection) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    await client.add_listener("mediaq_events", lambda *bell: heard.put_nowait(bell[3]))
    await client.execute("INSERT INTO media_analysis_requests (media_path) VALUES ('/x')")
    await client.execute("UPDATE media_analysis_requests SET status = 'cancelled'")
    payload = json.loads(await asyncio.wait_for(heard.get(), 10))
    (node,) = nodes("set", "on-end.json")
    wanted = re.findall(r"\$json\.payload\.(\w+)", json.dumps(node))
    assert set(wanted) <= set(payload)
    assert isinstance(payload["event_id"], str)


async def test_the_insert_names_columns_that_a_client_may_fill(client: asyncpg.Connection) -> None:
    (node,) = [n for n in nodes("postgres") if n["parameters"]["operation"] == "insert"]
    told = node["parameters"]
    columns = told["columns"]["value"]
    assert [column["id"] for column in told["columns"]["schema"]] == list(columns)
    for name, value in columns.items():
        assert name not in {"options", "user_metadata"} or "JSON.stringify({" in value
    given = {name: None if value.startswith("=") else value for name, value in columns.items()}
    marks = ", ".join(f"${n}" for n in range(1, len(given) + 1))
    # As n8n writes it: all columns named, NULL where there is no value, RETURNING *.
    row = await client.fetchrow(
        f'INSERT INTO "{told["schema"]["value"]}"."{told["table"]["value"]}"'  # noqa: S608 - names of a test
        f" ({', '.join(given)}) VALUES ({marks}) RETURNING *",
        *given.values(),
    )
    assert row is not None
    assert (row["status"], row["options"], row["created_by"]) == ("pending", "{}", "n8n")


@pytest.mark.parametrize("name", queries())
async def test_a_query_prepares_with_as_many_parameters_as_it_is_given(
    client: asyncpg.Connection, name: str
) -> None:
    parameters = queries()[name]
    statement = await client.prepare(parameters["query"])
    given = values(parameters["options"]["queryReplacement"])
    assert len(statement.get_parameters()) == len(given)


async def test_the_same_key_gives_the_first_request_again(client: asyncpg.Connection) -> None:
    query = queries()["submit-by-query.json: Insert the request once"]["query"]
    given = ("video", "https://media.example/a.mp4", "a, b", '{"frames": 24}', "key")
    first = await client.fetchrow(query, *given)
    again = await client.fetchrow(query, *given)
    other = await client.fetchrow(query, *given[:-1], "other")
    assert first is not None
    assert first == again != other
    assert await client.fetchval("SELECT count(*) FROM media_analysis_requests") == 2


async def test_the_catch_up_reads_every_end_once_and_goes_on_from_there(
    client: asyncpg.Connection, pool: db.Pool
) -> None:
    query = queries()["on-end.json: Read on"]["query"]

    async def read_on() -> list[str]:
        row = await client.fetchrow(query, cursor["xid"], cursor["event_id"])
        assert row is not None
        cursor.update(xid=row["xid"], event_id=row["event_id"])
        return [end["request_id"] for end in json.loads(row["ends"])]

    async def read_until(number: int) -> list[str]:
        # Any other transaction of the server, such as autovacuum's, holds the feed back a moment.
        ends: list[str] = []
        async with asyncio.timeout(10):
            while len(ends) < number:
                ends += await read_on()
        return ends

    async def end() -> str:
        row = await client.fetchval(
            "INSERT INTO media_analysis_requests (media_path) VALUES ('/x') RETURNING request_id"
        )
        await client.execute("UPDATE media_analysis_requests SET status = 'cancelled'")
        return str(row)

    await end()
    cursor = {"xid": "", "event_id": ""}
    assert await read_on() == []
    assert await read_on() == []
    first = await end()
    async with pool.acquire() as late, late.transaction():
        await late.execute("INSERT INTO media_analysis_requests (media_path) VALUES ('/late')")
        second = await end()
        assert await read_until(1) == [first]
        assert await read_on() == []
        await late.execute(
            "UPDATE media_analysis_requests SET status = 'cancelled' WHERE status = 'pending'"
        )
        third = await late.fetchval(
            "SELECT request_id FROM media_analysis_requests WHERE media_path = '/late'"
        )
    assert sorted(await read_until(2)) == sorted([second, str(third)])
    assert await read_on() == []


async def test_a_request_is_read_with_what_was_made_of_it(
    client: asyncpg.Connection, pool: db.Pool
) -> None:
    request_id = await pool.fetchval(
        "INSERT INTO media_analysis_requests (media_path) VALUES ('/x') RETURNING request_id"
    )
    file_id = await pool.fetchval(
        "INSERT INTO media_files (request_id, file_type, file_path)"
        " VALUES ($1, 'contact_sheet', '/out/1.jpg') RETURNING file_id",
        request_id,
    )
    await pool.execute(
        "INSERT INTO contact_sheets (request_id, file_id, frame_count, frames_per_sheet)"
        " VALUES ($1, $2, 6, 6)",
        request_id,
        file_id,
    )
    row = await client.fetchrow(queries()["on-end.json: Read the request"]["query"], request_id)
    assert row is not None
    assert (row["status"], json.loads(row["sheets"])) == ("pending", ["/out/1.jpg"])
