"""How long an idle worker takes from the commit of an INSERT to the code of the job."""

from __future__ import annotations

import asyncio
import time

import asyncpg

from mediaq import db, queue
from mediaq.bench.scratch import sql
from mediaq.settings import Database
from mediaq.worker import ANALYSE

CHANNEL = "bare"


async def ours(database: Database, samples: int) -> list[float]:
    """Milliseconds of each sample, through triggers, NOTIFY, claim and Procrastinate's worker."""
    started = asyncio.Event()
    stop = asyncio.Event()

    async def attempt(**_arguments: str) -> None:
        started.set()

    async with (
        db.pool(
            database, name="mediaq bench", size=5, overflow=5, search_path=queue.SEARCH_PATH
        ) as pool,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(
            queue.serve(
                database,
                pool,
                {ANALYSE: attempt},
                queues=(),
                concurrency=10,
                drain_timeout=5,
                life=queue.Life(),
                stop=stop,
            )
        )
        try:
            taken: list[float] = []
            for sample in range(-5, samples):
                started.clear()
                await pool.execute(sql()["insert_requests"], "/x", 1)
                began = time.perf_counter()
                await started.wait()
                if sample >= 0:
                    # The first ones only warm up.
                    taken.append((time.perf_counter() - began) * 1000)
                await asyncio.sleep(0.002)
            return taken
        finally:
            stop.set()


async def bare(database: Database, samples: int) -> list[float]:
    """The floor: a bell on a bare asyncpg connection, then one claim on a bare table."""
    dsn = database.dsn.get_secret_value()
    listener, writer, claimer = [await asyncpg.connect(dsn) for _ in range(3)]
    heard = asyncio.Event()
    try:
        await listener.add_listener(CHANNEL, lambda *_: heard.set())
        taken: list[float] = []
        for sample in range(-5, samples):
            heard.clear()
            await writer.execute(sql()["insert_bare_job"])
            began = time.perf_counter()
            await heard.wait()
            await claimer.fetchval(sql()["claim_bare_job"])
            if sample >= 0:
                taken.append((time.perf_counter() - began) * 1000)
        return taken
    finally:
        for connection in (listener, writer, claimer):
            await connection.close()
