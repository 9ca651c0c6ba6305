"""Whether the database grows under a steady load: every table and index, by requests worked off.

    python tests/bench/queue/growth.py [--requests 100000] [--keep 5] [--naptime 1]

A real worker works off requests that have no steps, so that nothing but the queue is at work, on an
embedded server of its own. Time runs faster than in production: what has ended is kept for seconds
instead of days and removed every second instead of every hour, in the same way; and so the server
looks for something to vacuum every ``--naptime`` seconds (its default is 60: the dead rows of a
minute then lie in the tables, however long it runs). Exit code 1 when a relation is larger at the
end than at half time by more than a fifth and a megabyte.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import structlog
from pydantic import SecretStr

from mediaq import db, migrate, queue, recovery, retention
from mediaq.embedded import Postgres
from mediaq.kit import Branch
from mediaq.media.local import LocalMedia
from mediaq.removal import REMOVE_FILES, Removal
from mediaq.settings import Database, Settings
from mediaq.storage.local import LocalStorage
from mediaq.worker import ANALYSE, Worker

BATCH = 200
WAITING = 1000
"""So many requests wait at most: more would measure the backlog."""

CONCURRENCY = 50
LOOKS = 10

SIZES = """
SELECT n.nspname || '.' || c.relname AS name, pg_relation_size(c.oid) + CASE c.relkind WHEN 'r' THEN
       pg_table_size(c.oid) - pg_relation_size(c.oid) ELSE 0 END AS bytes
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname IN ('public', 'mediaq') AND c.relkind IN ('r', 'i')
UNION ALL SELECT 'the whole database', pg_database_size(current_database())
UNION ALL SELECT 'rows: ' || relname, n_live_tup FROM pg_stat_user_tables WHERE n_live_tup > 100
"""


@dataclass
class Load:
    """Inserts in batches as requests are worked off."""

    pool: db.Pool
    source: Path
    wanted: int
    inserted: int = 0
    ended: int = 0
    progressed: asyncio.Event = field(default_factory=asyncio.Event)

    async def insert(self) -> None:
        while self.inserted < self.wanted:
            if self.inserted - self.ended > WAITING:
                self.progressed.clear()
                await self.progressed.wait()
                continue
            await self.pool.execute(
                "INSERT INTO public.media_analysis_requests (media_type, media_path)"
                " SELECT 'video', $1 FROM generate_series(1, $2)",
                str(self.source),
                BATCH,
            )
            self.inserted += BATCH

    async def reached(self, number: int) -> None:
        while self.ended < number:
            self.progressed.clear()
            await self.progressed.wait()

    def count(self) -> None:
        self.ended += 1
        self.progressed.set()


async def clean(pool: db.Pool, kept: retention.Keep) -> None:
    while True:
        await retention.clean(pool, kept)
        await asyncio.sleep(1)


async def measure(database: Database, folder: Path, requests: int, keep: float) -> list[Look]:
    source = folder / "empty.mp4"
    source.touch()
    storage = LocalStorage(folder / "storage")
    storage.prepare()
    await migrate.migrate(database, tell=lambda _: None)
    stop = asyncio.Event()
    looks: list[Look] = []
    async with db.pool(
        database, name="growth", size=5, overflow=10, search_path=queue.SEARCH_PATH
    ) as pool:
        me = await recovery.register(pool)
        worker = Worker(
            Settings(home=folder, media_roots=(folder,)),
            pool,
            storage,
            LocalMedia(60),
            me,
            branch_of=lambda _: Branch("video", {}),
        )
        load = Load(pool, source, requests)

        async def attempt(request_id: str) -> None:
            await worker.attempt(request_id)
            load.count()

        age = timedelta(seconds=keep)
        async with asyncio.TaskGroup() as group:
            group.create_task(
                queue.serve(
                    database,
                    pool,
                    {ANALYSE: attempt, REMOVE_FILES: Removal(pool, storage).remove_files},
                    queues=(),
                    concurrency=CONCURRENCY,
                    drain_timeout=60,
                    life=queue.Life(),
                    stop=stop,
                )
            )
            sides = [
                group.create_task(load.insert()),
                group.create_task(clean(pool, retention.Keep(age, age, age, age))),
                group.create_task(recovery.Keeper(pool, me, 10, 30).run(worker.look_after)),
            ]
            began = time.monotonic()
            for number in range(requests // LOOKS, requests + 1, requests // LOOKS):
                await load.reached(number)
                rows = await pool.fetch(SIZES)
                sizes = {row[0]: row[1] for row in rows}
                looks.append(Look(number, time.monotonic() - began, sizes))
            for side in sides:
                side.cancel()
            stop.set()
    return looks


@dataclass(frozen=True)
class Look:
    """Bytes of each relation after so many requests."""

    requests: int
    seconds: float
    sizes: dict[str, int]


def tell(looks: list[Look]) -> int:
    """Print the sizes in kB and return how many relations grew."""
    print(f"{'kB after requests':44}" + "".join(f"{look.requests:>9,}" for look in looks))
    print(f"{'seconds':44}" + "".join(f"{look.seconds:>9.0f}" for look in looks))
    grown = 0
    half, last = looks[len(looks) // 2 - 1], looks[-1]
    for name in sorted(last.sizes, key=lambda name: (name.startswith("rows"), -last.sizes[name])):
        unit = 1 if name.startswith("rows") else 1024
        sizes = [look.sizes.get(name, 0) for look in looks]
        if max(sizes) < 100 * 1024 and unit > 1:
            continue
        grew = unit > 1 and last.sizes[name] > 1.2 * half.sizes.get(name, 0) + 1024**2
        grown += grew
        print(f"{name:44}" + "".join(f"{size / unit:>9,.0f}" for size in sizes), "GREW" * grew)
    return grown


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--keep", type=float, default=5, help="seconds that what ended is kept")
    parser.add_argument("--naptime", type=int, default=1, help="autovacuum_naptime in seconds")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory(prefix="mediaq-growth-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        settings = {"autovacuum_naptime": f"{given.naptime}s"}
        with Postgres(folder / "postgres", settings=settings).start() as server:
            database = Database(dsn=SecretStr(server.dsn), source="growth")
            looks = asyncio.run(measure(database, folder, given.requests, given.keep))
    return 1 if tell(looks) else 0


if __name__ == "__main__":
    sys.exit(main())
