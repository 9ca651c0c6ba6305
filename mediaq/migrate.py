"""Bring a database to this version's schema: numbered files, each applied once, in order."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

import asyncpg

from mediaq import db
from mediaq.errors import Rejected
from mediaq.settings import Database

# "mediaq" in ASCII; an advisory lock is one number for the whole database.
_LOCK = 0x6D6564696171

State = Literal["applied", "pending"]


@dataclass(frozen=True, slots=True)
class Migration:
    """One file; ``namespace`` is ``procrastinate`` for the engine's own and ``mediaq`` for ours."""

    namespace: str
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Checksum of the text, the same whatever the line ends."""
        return hashlib.sha256(self.sql.replace("\r\n", "\n").encode()).hexdigest()

    def __str__(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"


def migrations() -> list[Migration]:
    """List every migration in the order in which they apply.

    Procrastinate ships its schema as migrations too; replaying them in schema ``mediaq`` gives
    its current tables without a copy of its code, and carries upgrades of it in our order.
    """
    engine = resources.files("procrastinate") / "sql" / "migrations"
    # In the wheel the files lie inside the package, in a checkout beside it.
    packaged = resources.files("mediaq") / "schema"
    ours = packaged if packaged.is_dir() else Path(__file__).parent.parent / "schema"
    return [*_read("procrastinate", engine), *_read("mediaq", ours)]


def _read(namespace: str, folder: Traversable) -> list[Migration]:
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [Migration(namespace, f.name, f.read_text(encoding="utf-8")) for f in files]


async def status(database: Database) -> list[tuple[Migration, State]]:
    """Say of each migration whether it is applied.

    Raises :class:`Rejected` when an applied file was changed or is missing here.
    """
    async with _locked(database) as connection:
        return await _compare(connection)


async def migrate(
    database: Database, *, tell: Callable[[str], None], dry_run: bool = False
) -> list[Migration]:
    """Apply what is pending and return it; ``tell`` hears each name.

    All of ours are one transaction: a database that held tables before is taken over whole or left
    as it was. Only one migration runs at a time in a database, the others wait. Raises
    :class:`Rejected` when an applied file was changed, is missing here, a file refuses what it
    finds, or the server is older than 13.
    """
    async with _locked(database) as connection:
        pending = [m for m, state in await _compare(connection) if state == "pending"]
        if dry_run:
            for migration in pending:
                tell(str(migration))
            return pending
        # The engine's files first, each alone: a new enum value is of use only after its commit.
        for migration in pending:
            if migration.namespace != "mediaq":
                tell(str(migration))
                async with connection.transaction():
                    await _apply(connection, migration)
        async with connection.transaction():
            for migration in pending:
                if migration.namespace == "mediaq":
                    tell(str(migration))
                    await _apply(connection, migration)
        return pending


@asynccontextmanager
async def _locked(database: Database) -> AsyncIterator[db.Connection]:
    connection = await asyncpg.connect(
        database.dsn.get_secret_value(),
        timeout=db.CONNECT_TIMEOUT,
        server_settings={"application_name": "mediaq migrate"},
    )
    try:
        if connection.get_server_version() < (13,):
            major = connection.get_server_version().major
            msg = f"PostgreSQL 13 or newer is needed, the server is version {major}"
            raise Rejected(msg)
        # Held by the session: the server lets go of it however this process ends.
        await connection.execute(db.queries()["lock_migrations"], _LOCK)
        yield connection
    finally:
        await connection.close()


async def _compare(connection: db.Connection) -> list[tuple[Migration, State]]:
    applied: dict[tuple[str, str], str] = {}
    if await connection.fetchval(db.queries()["ledger_exists"]):
        rows = await connection.fetch(db.queries()["ledger"])
        applied = {(row["namespace"], row["name"]): row["sha256"] for row in rows}
    states: list[tuple[Migration, State]] = []
    for migration in migrations():
        sha256 = applied.pop((migration.namespace, migration.name), None)
        if sha256 not in {None, migration.sha256}:
            msg = (
                f"{migration} differs from the file that made this database:"
                " it was made by another build of mediaq"
            )
            raise Rejected(msg)
        states.append((migration, "pending" if sha256 is None else "applied"))
    if applied:
        names = ", ".join("/".join(key) for key in sorted(applied))
        msg = f"the database is newer than this mediaq: it has {names}"
        raise Rejected(msg)
    return states


async def _apply(connection: db.Connection, migration: Migration) -> None:
    # It also limits the wait for locks: clients would queue up behind a long one.
    await connection.execute(db.queries()["prepare_ledger"])
    started = time.monotonic()
    try:
        await connection.execute(migration.sql)
    except asyncpg.RaiseError as error:
        # The file's own sentence, without the lines that PostgreSQL adds.
        msg = "; ".join(filter(None, (str(error.args[0]), error.hint)))
        raise Rejected(msg) from None
    await connection.execute(
        db.queries()["enter_in_ledger"],
        migration.namespace,
        migration.name,
        migration.sha256,
        round((time.monotonic() - started) * 1000),
    )
