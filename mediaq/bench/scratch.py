"""A database that lives as long as a benchmark, beside the one that was named."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from procrastinate.schema import SchemaManager
from pydantic import SecretStr

from mediaq import db, migrate
from mediaq.settings import Database

NAME = "mediaq_bench"

STOCK = "stock"
"""The schema of Procrastinate as it comes, with its own connector."""


@functools.cache
def sql() -> dict[str, str]:
    """Read the benchmark's queries by name."""
    return db.named((resources.files("mediaq.bench") / "queries.sql").read_text(encoding="utf-8"))


@asynccontextmanager
async def scratch(database: Database) -> AsyncIterator[Database]:
    """Create the database with mediaq's schema and stock Procrastinate's, and drop it at the end.

    The role needs CREATEDB. Nothing of the named database is touched.
    """
    admin = await asyncpg.connect(database.dsn.get_secret_value(), timeout=db.CONNECT_TIMEOUT)
    try:
        await admin.execute(sql()["drop_scratch"])
        await admin.execute(sql()["create_scratch"])
        parts = urlsplit(database.dsn.get_secret_value())
        made = Database(dsn=SecretStr(urlunsplit(parts._replace(path=f"/{NAME}"))), source="bench")
        await migrate.migrate(made, tell=lambda _: None)
        await _stock(made)
        yield made
    finally:
        await admin.execute(sql()["drop_scratch"])
        await admin.close()


async def _stock(made: Database) -> None:
    connection = await asyncpg.connect(made.dsn.get_secret_value())
    try:
        await connection.execute(sql()["stock_schema"])
        await connection.execute(SchemaManager.get_schema())
        await connection.execute(sql()["bare_tables"])
    finally:
        await connection.close()
