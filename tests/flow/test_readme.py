"""The README is true: its SQL runs in psql as a stranger, its calls answer, its commands exist."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import aiohttp
import asyncpg
import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from mediaq import db, store
from mediaq.cli import COMMANDS, group
from mediaq.settings import Database, Settings
from mediaq.views import Detail
from tests.conftest import Ended
from tests.flow.test_cli import serving

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
SQL = re.findall(r"^```sql\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
CONSOLE = re.findall(r"^\$ ([^#\n]*)", README, re.MULTILINE)


class Psql:
    """A psql session that is typed into."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def type(self, text: str) -> str:
        """Type ``text`` and return what psql prints until it is ready again."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        mark = uuid4().hex
        self._process.stdin.write(f"{text}\n\\echo {mark}\n".encode())
        await self._process.stdin.drain()
        lines: list[str] = []
        async with asyncio.timeout(30):
            while True:
                line = (await self._process.stdout.readline()).decode()
                assert line, "".join(lines)
                if line.strip() == mark:
                    return "".join(lines)
                lines.append(line)


@pytest.fixture
async def stranger(admin: asyncpg.Connection, database: Database, pool: db.Pool) -> Database:
    """The database as a role sees it that owns nothing in it."""
    role = f"stranger_{uuid4().hex}"
    await admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    await pool.execute(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {role}")
    address = database.address.partition("@")[2]
    return Database(dsn=SecretStr(f"postgresql://{role}:x@{address}"), source="test")


@pytest.fixture
async def psql(stranger: Database, psql_program: Path) -> AsyncIterator[Psql]:
    process = await asyncio.create_subprocess_exec(
        *(psql_program, "--no-psqlrc", "--quiet", stranger.dsn.get_secret_value()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd="/",
    )
    yield Psql(process)
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


@pytest.mark.usefixtures("worker")
async def test_the_readmes_sql_runs_in_psql_as_a_role_that_owns_nothing(
    psql: Psql, pool: db.Pool, ended: Ended, settings: Settings, video: Path
) -> None:
    video.rename(settings.storage / "uploads" / "holiday.mp4")
    assert "ERROR" not in await psql.type("LISTEN mediaq_events;")
    first, second, third = SQL
    insert, select = (statement + ";" for statement in first.split(";")[:2])
    assert await psql.type(insert) == ""
    request_id = await pool.fetchval("SELECT request_id FROM media_analysis_requests")
    await ended(request_id)
    answer = await psql.type(select)
    assert answer.count('Asynchronous notification "mediaq_events"') == 1
    assert "completed" in answer
    assert "sheet-01.jpg" in answer
    bell = re.search(r'with payload "(\{.*\})"', answer)
    assert bell is not None
    assert json.loads(bell[1])["request_id"] == str(request_id)

    webp, grouped = (statement + ";" for statement in second.split(";")[:2])
    assert await psql.type(webp) == ""
    newest = await pool.fetchval(
        "SELECT request_id FROM media_analysis_requests ORDER BY created_at DESC LIMIT 1"
    )
    assert (await ended(newest)).event == "completed"
    text = await store.detail(pool, newest)
    assert text is not None
    assert {file.mime_type for file in Detail.model_validate_json(text).files} == {"image/webp"}

    assert "ERROR" not in await psql.type(grouped)
    for _ in range(2):
        assert "ERROR" not in await psql.type(third)
    assert await pool.fetchval("SELECT count(*) FROM media_analysis_requests") == 4


async def test_the_readmes_calls_answer(
    database: Database, settings: Settings, tmp_path: Path, video: Path
) -> None:
    video.rename(tmp_path / "holiday.mp4")
    environment = {
        "DATABASE_URL": database.dsn.get_secret_value(),
        "MEDIAQ_HOME": str(tmp_path / "home"),
        "MEDIAQ_MEDIA_ROOTS": str(tmp_path),
        "MEDIAQ_PORT": "0",
    }
    calls = [shlex.split(line) for line in CONSOLE if line.startswith("curl")]
    assert len(calls) == 5
    async with serving(environment, "up", "api.ready", "worker.ready") as told:
        address = told["api.ready"]["url"].removeprefix("http://")
        async with aiohttp.ClientSession() as client:
            for call in calls:
                method, url, data, headers = curl(call)
                url = f"http://{url.replace('localhost:8001', address)}"
                async with client.request(method, url, data=data, headers=headers) as answer:
                    if "-N" in call:
                        assert answer.content_type == "text/event-stream"
                        continue
                    assert answer.ok, await answer.text()
                    assert await answer.json()


def curl(words: list[str]) -> tuple[str, str, str | None, dict[str, str]]:
    """What curl makes of its arguments: ``-d`` posts, and says that JSON were a form."""
    data, headers, rest = None, {}, iter(words[1:])
    for word in rest:
        if word == "-d":
            data = next(rest)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word not in {"-i", "-N"}:
            url = word
    return ("GET" if data is None else "POST"), url, data, headers


def test_the_readmes_commands_exist_with_their_options() -> None:
    """Whole lines of the console blocks, and commands named in the text."""
    named = [*CONSOLE, *re.findall(r"`(mediaq [^`]+)`", README)]
    calls = [shlex.split(text)[1:] for text in named if text.startswith("mediaq ")]
    assert {call[0] for call in calls} == set(COMMANDS)
    for command, *words in calls:
        page = CliRunner().invoke(group, [command, "--help"]).output
        for word in words:
            if word.startswith("--"):
                assert word in page, (command, word)


def test_the_readmes_files_exist_and_its_targets_are_made() -> None:
    for target in re.findall(r"\]\((?!http|#)([^)]+)\)", README):
        assert (ROOT / target).exists(), target
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make (\w+)", README):
        assert f"\n{target}:" in makefile, target
