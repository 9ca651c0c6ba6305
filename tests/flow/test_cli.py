"""The command line as its users call it: real processes, real output, real exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp
import pytest

from mediaq import db
from mediaq.cli import COMMANDS
from mediaq.settings import Database
from tests.conftest import Insert

SECONDS = 90


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture
def environment(database: Database, tmp_path: Path) -> dict[str, str]:
    """What a command finds in its environment: the test's database and folders."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "DATABASE_URL": database.dsn.get_secret_value(),
        "MEDIAQ_HOME": str(tmp_path / "home"),
        "MEDIAQ_MEDIA_ROOTS": str(tmp_path),
        "PORT": "0",
    }


async def start(environment: Mapping[str, str], *words: object) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mediaq", *map(str, words)),
        env=dict(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run(environment: Mapping[str, str], *words: object) -> Ended:
    process = await start(environment, *words)
    try:
        async with asyncio.timeout(SECONDS):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return Ended(process.returncode or 0, out.decode(), err.decode())


@contextlib.asynccontextmanager
async def serving(
    environment: Mapping[str, str], command: str, *ready: str
) -> AsyncIterator[dict[str, dict[str, str]]]:
    """A long-running command; yields its log events ``ready`` by name once all were told."""
    process = await start(environment, command)
    told: dict[str, dict[str, str]] = {}
    lines: list[bytes] = []
    assert process.stderr is not None
    try:
        async with asyncio.timeout(SECONDS):
            while not told.keys() >= set(ready):
                lines.append(await process.stderr.readline())
                assert lines[-1], b"".join(lines).decode()
                event = json.loads(lines[-1])
                told[event["event"]] = event
        yield told
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(SECONDS):
            _, err = await process.communicate()
        assert process.returncode == 0, err.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_help_names_every_command_and_every_command_has_help(
    environment: dict[str, str],
) -> None:
    top = await run(environment, "--help")
    assert top.code == 0
    for command in COMMANDS:
        assert f"  {command} " in top.out
        one = await run(environment, command, "--help")
        assert (one.code, one.err) == (0, "")
        assert f"mediaq {command}" in one.out


async def test_help_imports_nothing_heavy(environment: dict[str, str]) -> None:
    code = (
        "import sys, contextlib\n"
        "sys.argv = ['mediaq', '--help']\n"
        "from mediaq.cli import main\n"
        "with contextlib.suppress(SystemExit): main()\n"
        "heavy = {'asyncpg', 'aiohttp', 'procrastinate', 'pydantic', 'rich', 'structlog', 'av'}\n"
        "sys.exit(sorted(heavy & set(sys.modules)) or 0)\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code), env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0


async def test_a_request_goes_from_submit_to_status(
    environment: dict[str, str], video: Path
) -> None:
    async with serving(environment, "worker", "worker.ready"):
        done = await run(
            environment,
            *("submit", video, "--type", "video", "--prompt", "what is it?"),
            *("-o", "frames=4", "-o", "timestamps=false", "--wait", "--json"),
        )
        assert done.code == 0, done.err
        detail = json.loads(done.out)
        assert detail["status"] == "completed"
        assert detail["options"] == {"frames": 4, "timestamps": False}
        assert detail["contact_sheets"][0]["frame_count"] == 4
        assert "contact_sheets" in done.err

        shown = await run(environment, "status", detail["request_id"])
        assert "sheet-01.jpg" in shown.out
        assert "what is it?" in shown.out
        listed = await run(environment, "status", "--status", "completed", "--json")
        assert [entry["request_id"] for entry in json.loads(listed.out)] == [detail["request_id"]]

        followed = await run(environment, "watch", detail["request_id"], "--json")
        assert followed.code == 0
        told = [json.loads(line) for line in followed.out.splitlines()]
        assert [event["event"] for event in told][-1] == "completed"
        since = await run(
            environment,
            *("watch", detail["request_id"], "--since", told[-2]["event_id"], "--json"),
        )
        assert [json.loads(line) for line in since.out.splitlines()] == told[-1:]


async def test_a_failed_request_is_exit_code_1_and_told_in_words(
    environment: dict[str, str], tmp_path: Path
) -> None:
    note = tmp_path / "note.mp4"
    note.write_bytes(bytes(range(256)))
    async with serving(environment, "worker", "worker.ready"):
        done = await run(environment, "submit", note, "--wait")
        assert done.code == 1
        assert "note.mp4 is not a media file" in done.out


async def test_a_file_outside_the_roots_is_copied_to_the_uploads(
    environment: dict[str, str], sample_video: Path, pool: db.Pool
) -> None:
    sent = await run(environment, "submit", sample_video)
    path = await pool.fetchval(
        "SELECT media_path FROM media_analysis_requests WHERE request_id = $1",
        UUID(sent.out.strip()),
    )
    assert Path(path).read_bytes() == sample_video.read_bytes()
    copies = Path(environment["MEDIAQ_HOME"]) / "storage" / "uploads" / "requests"
    assert Path(path) == copies / sent.out.strip() / sample_video.name
    refused = await run(environment, "submit", sample_video, "--prompt", "x" * 100_001)
    assert refused.code == 2
    assert [entry.name for entry in copies.iterdir()] == [sent.out.strip()]


@pytest.fixture
async def delivered(pool: db.Pool, insert: Insert) -> UUID:
    """A cancelled request whose callback answered 503, then 200."""
    request_id = await insert(media_path="/x", callback_url="http://h.example/")
    await pool.execute("UPDATE media_analysis_requests SET status = 'cancelled'")
    await pool.execute(
        "INSERT INTO mediaq.deliveries SELECT $1, 2, n, 'cancelled', 'msg_1', 'http://h.example/',"
        " now(), 5, CASE n WHEN 1 THEN 'retried' ELSE 'delivered' END, 500 - 300 * (n - 1),"
        " CASE n WHEN 1 THEN 'the receiver answered 500' END, 'private',"
        " CASE n WHEN 1 THEN now() END FROM generate_series(1, 2) n",
        request_id,
    )
    return request_id


async def test_status_shows_the_calls_of_a_webhook(
    environment: dict[str, str], delivered: UUID
) -> None:
    shown = await run(environment, "status", delivered)
    assert "cancelled, call 1 retried: the receiver answered 500, again at" in shown.out
    assert "cancelled, call 2 delivered: answered 200" in shown.out
    told = json.loads((await run(environment, "status", delivered, "--json")).out)
    assert [call["outcome"] for call in told["deliveries"]] == ["retried", "delivered"]
    # What receivers answer may be of a private network.
    assert "private" not in json.dumps(told)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("submit", "/nowhere.mp4"), 2, "there is no file /nowhere.mp4"),
        (
            ("submit", "/x", "--remote", "-o", "grids=1"),
            2,
            'unknown option "grids"; the options are exact',
        ),
        (
            ("submit", "/x", "--remote", "-o", "grid=9"),
            2,
            'option grid must be columns x rows from "1x1" to "20x20", such as "2x3", not "9"',
        ),
        (("submit", "/x", "--remote", "-o", "grid"), 2, "an option is written NAME=VALUE"),
        (("status", str(UUID(int=0))), 2, "no request has the id 0000"),
        (("watch", str(UUID(int=0))), 2, "no request has the id 0000"),
        (("status", "nonsense"), 2, "'nonsense' is not a valid UUID"),
        (("dance",), 2, "No such command 'dance'"),
    ],
)
async def test_a_wrong_call_is_exit_code_2_and_one_sentence(
    environment: dict[str, str], words: tuple[str, ...], code: int, sentence: str
) -> None:
    done = await run(environment, *words)
    assert (done.code, done.out) == (code, "")
    assert sentence in done.err
    assert "Traceback" not in done.err


async def test_a_misspelt_setting_stops_the_start(environment: dict[str, str]) -> None:
    done = await run({**environment, "MEDIAQ_CONCURENCY": "3"}, "worker")
    assert done.code == 2
    assert done.err == (
        "mediaq: MEDIAQ_CONCURENCY is not a setting of mediaq; did you mean MEDIAQ_CONCURRENCY?\n"
    )


async def test_a_database_that_is_away_is_exit_code_3(environment: dict[str, str]) -> None:
    secret = uuid4().hex
    away = f"postgresql://someone:{secret}@127.0.0.1:1/af-memory"
    for command in ("status", "migrate", "worker", "api"):
        done = await run({**environment, "DATABASE_URL": away}, command)
        assert done.code == 3, (command, done.err)
        assert done.err.startswith("mediaq: the database cannot be reached")
        assert secret not in done.out + done.err


async def test_a_database_without_tables_says_what_to_run(
    environment: dict[str, str], empty_database: Database
) -> None:
    environment["DATABASE_URL"] = empty_database.dsn.get_secret_value()
    done = await run(environment, "status")
    assert (done.code, done.out) == (3, "")
    assert "run `mediaq migrate`" in done.err
    pending = await run(environment, "migrate", "--status")
    assert pending.code == 1
    assert "pending  mediaq/0001_tables.sql" in pending.out
    dry = await run(environment, "migrate", "--dry-run", "--json")
    assert "mediaq/0003_flow.sql" in json.loads(dry.out)["applied"]
    assert (await run(environment, "migrate")).code == 0
    assert (await run(environment, "migrate", "--status")).code == 0


async def test_doctor_checks_and_never_shows_a_secret(
    environment: dict[str, str], database: Database
) -> None:
    done = await run(environment, "doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.out)}
    assert done.code == 0, done.out
    assert checks["address"]["seen"] == f"{database.address}, from DATABASE_URL"
    assert checks["sandbox"]["seen"].startswith("decoders are kept from ")
    assert {"ffmpeg", "storage", "schema", "LISTEN/NOTIFY"} <= checks.keys()
    password = database.dsn.get_secret_value().split(":")[2].split("@")[0]
    shown = await run(environment, "doctor")
    assert "✓" in shown.out
    assert password not in done.out + done.err + shown.out + shown.err


async def test_doctor_says_what_is_wrong_and_what_to_do(
    environment: dict[str, str], empty_database: Database
) -> None:
    environment["DATABASE_URL"] = empty_database.dsn.get_secret_value()
    done = await run(environment, "doctor")
    assert done.code == 1
    assert "✗" in done.out
    assert "run `mediaq migrate`" in done.out


@pytest.mark.parametrize(
    ("setting", "value", "name", "todo"),
    [
        ("DATABASE_URL", "postgresql://x@127.0.0.1:1/x", "database", "correct DATABASE_URL"),
        ("DATABASE_URL", "postgresql://x@127.0.0.1:99999/x", "database", "name a PostgreSQL in"),
        ("DATABASE_URL", "{dsn}_gone", "database", "correct DATABASE_URL"),
        ("MEDIAQ_FFMPEG", "/nowhere/ffmpeg", "ffmpeg", "unset it and let one be found"),
        ("MEDIAQ_STORAGE_DIR", "/dev/null/storage", "storage", "set MEDIAQ_STORAGE_DIR to a"),
    ],
)
async def test_doctor_says_of_everything_that_fails_what_to_do(
    environment: dict[str, str], setting: str, value: str, name: str, todo: str
) -> None:
    environment[setting] = value.format(dsn=environment["DATABASE_URL"])
    done = await run(environment, "doctor", "--json")
    assert done.code == 1
    (failed,) = [check for check in json.loads(done.out) if not check["ok"]]
    assert failed["name"] == name
    assert todo in failed["todo"]


async def test_doctor_says_what_to_do_without_any_postgresql(environment: dict[str, str]) -> None:
    del environment["DATABASE_URL"]
    environment["MEDIAQ_PG_BIN_DIR"] = environment["HOME"]
    done = await run(environment, "doctor")
    assert done.code == 1
    assert "There is no initdb and postgres that could be run in" in done.out
    assert "name a PostgreSQL in DATABASE_URL" in done.out


async def test_doctor_says_what_to_do_about_a_database_of_another_version(
    environment: dict[str, str], pool: db.Pool
) -> None:
    await pool.execute(
        "INSERT INTO mediaq.migrations VALUES ('mediaq', '9999_later', '', now(), 1)"
    )
    done = await run(environment, "doctor")
    assert done.code == 1
    assert "the database is newer than this mediaq: it has mediaq/9999_later" in done.out
    assert "use the mediaq that migrated this database" in done.out


async def test_up_serves_api_and_worker_in_one_process(
    environment: dict[str, str], video: Path
) -> None:
    async with serving(environment, "up", "api.ready", "worker.ready") as told:
        url = told["api.ready"]["url"]
        async with aiohttp.ClientSession(url) as client:
            body = {"media_path": str(video), "prompt": "what is it?"}
            async with client.post(
                "/api/media/video", json=body, headers={"Prefer": "wait=60"}
            ) as answer:
                assert answer.status == 200
                assert (await answer.json())["status"] == "completed"


async def test_api_and_worker_are_two_processes_that_stop_when_asked(
    environment: dict[str, str], insert: Insert, pool: db.Pool
) -> None:
    async with (
        serving(environment, "api", "api.ready") as told,
        serving(environment, "worker", "worker.ready"),
        aiohttp.ClientSession(told["api.ready"]["url"]) as client,
        client.get("/health") as answer,
    ):
        assert (await answer.json())["status"] == "ok"


async def test_a_demo_that_is_interrupted_leaves_nothing_running(
    environment: dict[str, str], home: Path
) -> None:
    del environment["DATABASE_URL"]
    environment["MEDIAQ_HOME"] = str(home / "interrupted")
    process = await start(environment, "demo")
    assert process.stdout is not None
    async with asyncio.timeout(SECONDS):
        while b"API and worker" not in await process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 130
    assert not list((home / "interrupted").rglob("postmaster.pid"))


async def test_the_demo_goes_the_whole_way_with_nothing_but_itself(
    environment: dict[str, str], home: Path, sample_video: Path
) -> None:
    del environment["DATABASE_URL"]
    environment["MEDIAQ_HOME"] = str(home / "demo")
    shown = await run(environment, "demo", sample_video)
    assert shown.code == 0, shown.out + shown.err
    for word in ("PostgreSQL", "embedded", "✓ completed", "sheet-01.jpg", "/api/media/status/"):
        assert word in shown.out
    assert (home / "demo" / "storage" / "outputs").is_dir()
