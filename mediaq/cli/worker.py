"""``mediaq worker``."""

from __future__ import annotations

import click
import structlog

from mediaq.cli import wiring
from mediaq.errors import Rejected
from mediaq.settings import QUEUES, Database, Settings


@click.command(
    "worker",
    help="Run a worker until SIGTERM or Ctrl-C; the second one does not wait for what runs.",
)
@click.option(
    "--queues", help="Queues to serve, separated by commas; default MEDIAQ_QUEUES or all."
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    help="Requests to run at once; default MEDIAQ_CONCURRENCY or 2.",
)
@click.option(
    "--drain-timeout",
    type=click.FloatRange(min=0),
    help="Seconds that running requests get when it stops; default MEDIAQ_DRAIN_TIMEOUT or 30.",
)
def command(queues: str | None, concurrency: int | None, drain_timeout: float | None) -> None:
    """Run jobs."""
    wanted = tuple(name.strip() for name in (queues or "").split(",") if name.strip())
    if unknown := set(wanted) - set(QUEUES):
        msg = f"there is no queue {min(unknown)!r}; the queues are {', '.join(QUEUES)}"
        raise Rejected(msg)
    given = {
        "queues": wanted or None,
        "concurrency": concurrency,
        "drain_timeout": drain_timeout,
    }
    with wiring.opened() as (read, database):
        wiring.run(_serve(wiring.override(read, given), database))


async def _serve(read: Settings, database: Database) -> None:
    log = structlog.get_logger()
    stop = wiring.stop_on_signals()
    await wiring.serve_worker(
        read,
        database,
        stop,
        lambda _: log.info(
            "worker.ready",
            queues=read.queues or "all",
            concurrency=read.concurrency,
            database=database.address,
            source=database.source,
            storage=str(read.storage),
        ),
    )
    log.info("worker.stopped")
