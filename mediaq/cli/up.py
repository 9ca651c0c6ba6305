"""``mediaq up``."""

from __future__ import annotations

import click
import structlog

from mediaq import migrate
from mediaq.cli import wiring
from mediaq.settings import Database, Settings


@click.command(
    "up",
    help="Run API and worker in one process until Ctrl-C, on the database that the environment"
    " names or else on an embedded one. Migrates first.",
)
def command() -> None:
    """Migrate, then serve."""
    with wiring.opened() as (read, database):
        wiring.run(_up(read, database))


async def _up(read: Settings, database: Database) -> None:
    log = structlog.get_logger()
    applied = await migrate.migrate(
        database, tell=lambda name: log.debug("migration.applied", name=name)
    )
    if applied:
        log.info("schema.migrated", files=len(applied))
    await wiring.serve("up", read, database, wiring.serve_api, wiring.serve_worker)
