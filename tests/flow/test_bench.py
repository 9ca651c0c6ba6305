"""``mediaq bench`` works, so that its figures can be taken again: every measure, in small."""

from __future__ import annotations

import asyncio
import json
import sys

import asyncpg

from tests.flow.test_cli import environment, run

__all__ = ["environment"]

SMALL = ("--rounds=1", "--jobs=20", "--rows=100", "--listeners=20", "--json")
FIGURES = {
    "pick-up of a request by an idle worker, p50",
    "pick-up of a request by an idle worker, p99",
    "pick-up of a request by an idle worker, the longest of 200",
    "bare jobs, 10 at once",
    "requests with rows and events, 10 at once",
    "bare jobs, 50 at once",
    "requests with rows and events, 50 at once",
    "INSERT that queues, single, per row",
    "INSERT that queues, bulk of 10,000, per row",
    "claim with 100 pending",
    "claim with 100 finished",
    "claim with 100 scheduled for tomorrow",
    "claim with 100 waiting in another queue",
    "an event to 20 listeners, p50",
    "an event to 20 listeners, p99",
    "an event to its one of 20 listeners, p50",
    "an event to its one of 20 listeners, p99",
    "memory of a listener in the API",
}


async def test_every_measure_can_be_taken(
    environment: dict[str, str], admin: asyncpg.Connection
) -> None:
    ended = await run(environment, "bench", *SMALL)
    assert (ended.code, ended.err) == (0, "")
    figures = [json.loads(line) for line in ended.out.splitlines()]
    assert {figure["name"] for figure in figures} == FIGURES
    for figure in figures:
        # Twenty listeners may fit into memory that the process has already.
        assert figure["ours"] > 0 or figure["unit"] == "kB"
        assert figure["floor"] is None or figure["floor"] > 0
    left = await admin.fetch("SELECT datname FROM pg_database WHERE datname = 'mediaq_bench'")
    assert left == []


async def test_more_listeners_than_open_files_allow_are_refused_in_a_sentence(
    environment: dict[str, str],
) -> None:
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", 'ulimit -n 150; exec "$@"', "sh"),
        *(sys.executable, "-m", "mediaq", "bench", "fanout", "--listeners", "500"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, out) == (3, b"")
    assert b"500 listeners need 700 open files and 150 are allowed" in err
