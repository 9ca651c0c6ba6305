"""``mediaq doctor``."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import asyncpg
import click
from rich.table import Table
from rich.text import Text

import mediaq
from mediaq import db, migrate, recovery
from mediaq import settings as environment
from mediaq.cli import EXIT_FAILED, show, wiring
from mediaq.errors import MediaqError
from mediaq.listen import listen
from mediaq.media import ffmpeg
from mediaq.settings import Database, Settings
from mediaq.storage.local import LocalStorage

LOW_DISK = 1024**3
BELL_SECONDS = 5
NO_DATABASE = (
    "name a PostgreSQL in DATABASE_URL, or name none and let mediaq run one:"
    " pip install 'mediaq[embedded]'"
)


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, whether it is well, what was seen, and what to do if it is not."""

    name: str
    ok: bool
    seen: str
    todo: str = ""


@click.command(
    "doctor", help="Check this machine and the database; exit 1 when something is not well."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> int:
    """Check everything that can be checked."""
    checks = [Check("mediaq", True, f"{mediaq.__version__}, Python {platform.python_version()}")]
    read = environment.read()
    checks += _settings(read)
    checks.append(_ffmpeg(read))
    checks.append(_storage(read))
    try:
        with wiring.opened(quiet=True) as (_, database):
            checks.append(Check("address", True, f"{database.address}, from {database.source}"))
            if database.psql:
                checks.append(Check("psql", True, database.psql))
            checks += _reached(database)
    except MediaqError as error:
        checks.append(Check("database", False, error.message, NO_DATABASE))
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        show.console().print(_table(checks))
    return 0 if all(check.ok for check in checks) else EXIT_FAILED


def _settings(read: Settings) -> Iterator[Check]:
    """Name the settings that were set, and by which variable."""
    set_by = {
        field: name for name, field in environment.variables().items() if os.environ.get(name)
    }
    for field, name in set_by.items():
        value = getattr(read, field)
        text = ", ".join(map(str, value)) if isinstance(value, tuple) else value
        yield Check("setting", True, f"{name} = {text}")


def _ffmpeg(read: Settings) -> Check:
    try:
        found = ffmpeg.find_ffmpeg(read.ffmpeg)
    except MediaqError as error:
        return Check("ffmpeg", False, "none that can be run", error.message)
    return Check("ffmpeg", True, str(found.ffmpeg))


def _storage(read: Settings) -> Check:
    storage = LocalStorage(read.storage)
    try:
        storage.prepare()
        probe = storage.temp / f"doctor-{uuid.uuid4().hex}"
        probe.write_bytes(b"mediaq")
        probe.unlink()
    except (MediaqError, OSError) as error:
        return Check(
            "storage", False, str(error), "set MEDIAQ_STORAGE_DIR to a folder that can be written"
        )
    free = shutil.disk_usage(storage.root).free
    seen = f"{storage.root}, {show.size(free)} free"
    return Check("storage", free > LOW_DISK, seen, "make room: less than 1 GiB is left")


def _reached(database: Database) -> list[Check]:
    try:
        return wiring.run(_database(database))
    except MediaqError as error:
        todo = f"let PostgreSQL answer at this address, or correct {database.source}"
        return [Check("database", False, error.message, todo)]


async def _database(database: Database) -> list[Check]:
    async with wiring.small_pool(database) as pool:
        facts = await pool.fetchrow(db.queries()["server_facts"])
        assert facts is not None  # noqa: S101 - a SELECT without FROM has one row
        seen = f"PostgreSQL {facts['version']}, database {facts['database']}, role {facts['role']}"
        checks = [Check("database", True, seen)]
        try:
            checks += await _installed(database, pool)
        except asyncpg.InsufficientPrivilegeError as error:
            todo = "make the role a member of mediaq_worker: deploy/sql/roles.sql"
            checks.append(Check("role", False, str(error), todo))
        checks.append(await _bell(database, pool))
    return checks


async def _installed(database: Database, pool: db.Pool) -> list[Check]:
    schema = await _schema(database)
    if not schema.ok:
        return [schema]
    alive = await recovery.workers_alive(pool)
    seen = f"{alive} running" if alive else "none runs; start one with `mediaq worker`"
    return [schema, Check("workers", True, seen)]


async def _schema(database: Database) -> Check:
    try:
        states = await migrate.status(database)
    except MediaqError as error:
        todo = f"use the mediaq that migrated this database, or name another in {database.source}"
        return Check("schema", False, error.message, todo)
    pending = [str(migration) for migration, state in states if state == "pending"]
    if pending:
        return Check("schema", False, f"{len(pending)} migrations pending", "run `mediaq migrate`")
    return Check("schema", True, f"{len(states)} migrations applied")


async def _bell(database: Database, pool: db.Pool) -> Check:
    """Ring and hear: a pooler in transaction mode swallows NOTIFY."""
    channel = f"mediaq_doctor_{uuid.uuid4().hex}"
    heard, connected = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(
        listen(database, [channel], on_bell=lambda *_: heard.set(), on_connect=connected.set)
    )
    try:
        async with asyncio.timeout(BELL_SECONDS):
            await connected.wait()
            await pool.execute(db.queries()["ring"], channel)
            await heard.wait()
    except TimeoutError:
        return Check(
            "LISTEN/NOTIFY",
            False,
            f"a bell was not heard within {BELL_SECONDS} s",
            "connect without a pooler, or through one in session mode",
        )
    finally:
        task.cancel()
    return Check("LISTEN/NOTIFY", True, "a bell was heard")


def _table(checks: list[Check]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        seen = Text(check.seen)
        if not check.ok:
            seen.append(f"\n{check.todo}", style="yellow")
        sign = Text("✓", style="green") if check.ok else Text("✗", style="red")
        table.add_row(sign, check.name, seen)
    return table
