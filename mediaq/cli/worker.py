"""``mediaq worker``."""

from __future__ import annotations

import click

from mediaq.cli import wiring
from mediaq.errors import Rejected
from mediaq.settings import QUEUES


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
    with wiring.opened(
        queues=wanted or None, concurrency=concurrency, drain_timeout=drain_timeout
    ) as (read, database):
        wiring.run(wiring.serve("worker", read, database, wiring.serve_worker))
