"""What a claim costs while a million other jobs lie about, beside an empty table."""

from __future__ import annotations

import time

import asyncpg

from mediaq import db, queue
from mediaq.bench.figures import median
from mediaq.bench.scratch import sql
from mediaq.settings import Database

SITUATIONS = {
    "pending": "fill_pending",
    "finished": "fill_finished",
    "scheduled for tomorrow": "fill_scheduled",
    "waiting in another queue": "fill_other",
}
"""What the table is filled with, by the name of the query that does it."""

SAMPLES = 40


async def costs(database: Database, rows: int) -> dict[str, float]:
    """Milliseconds of a claim that finds one job, by situation; ``empty`` is the floor."""
    connection = await asyncpg.connect(
        database.dsn.get_secret_value(), server_settings={"search_path": queue.SEARCH_PATH}
    )
    try:
        await db.set_codecs(connection)
        await connection.execute(sql()["clear"])
        worker = await connection.fetchval(sql()["register"])
        found = {"empty": await _cost(connection, worker)}
        for situation, fill in SITUATIONS.items():
            await connection.execute(sql()["clear"])
            await connection.execute(sql()["triggers_off"])
            await connection.execute(sql()[fill], rows)
            await connection.execute(sql()["triggers_on"])
            found[situation] = await _cost(connection, worker)
        return found
    finally:
        await connection.close()


async def _cost(connection: db.Connection, worker: int) -> float:
    """Claim one job again and again, each time with one that has just been queued.

    No statistics are gathered before: a queue that filled up a moment ago has none.
    """
    taken: list[float] = []
    for _ in range(SAMPLES):
        await connection.execute(sql()["defer_noops"], "video", 1)
        began = time.perf_counter()
        rows = await connection.fetch(db.queries()["claim_jobs"], ["video"], worker, 1)
        taken.append((time.perf_counter() - began) * 1000)
        if len(rows) != 1:
            msg = "a claim found nothing although a job waits"
            raise RuntimeError(msg)
    return median(taken)
