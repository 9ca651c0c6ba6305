"""What it costs a client that its INSERT also queues, checks and rings."""

from __future__ import annotations

import time

import asyncpg

from mediaq.bench.scratch import sql
from mediaq.settings import Database


async def seconds(database: Database, rows: int, statements: int) -> tuple[float, float]:
    """Seconds per row of the requests table, and of the same table without our triggers.

    ``rows`` in each of so many statements.
    """
    connection = await asyncpg.connect(database.dsn.get_secret_value())
    try:
        await connection.execute(sql()["clear"])
        found: list[float] = []
        for query in ("insert_requests", "insert_bare"):
            began = time.perf_counter()
            for _ in range(statements):
                await connection.execute(sql()[query], "/x.mp4", rows)
            found.append((time.perf_counter() - began) / rows / statements)
        return found[0], found[1]
    finally:
        await connection.close()
