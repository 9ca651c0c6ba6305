"""``mediaq api``."""

from __future__ import annotations

import click
import structlog

from mediaq.cli import wiring
from mediaq.settings import Database, Settings


@click.command("api", help="Run the HTTP API until SIGTERM or Ctrl-C.")
@click.option("--host", help="Address to listen on; default MEDIAQ_HOST or 127.0.0.1.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port; default MEDIAQ_PORT, PORT or 8001."
)
def command(host: str | None, port: int | None) -> None:
    """Serve HTTP."""
    given = {"host": host, "port": port}
    with wiring.opened() as (read, database):
        wiring.run(_serve(wiring.override(read, given), database))


async def _serve(read: Settings, database: Database) -> None:
    log = structlog.get_logger()
    stop = wiring.stop_on_signals()
    await wiring.serve_api(
        read,
        database,
        stop,
        lambda url: log.info(
            "api.ready", url=url, database=database.address, source=database.source
        ),
    )
    log.info("api.stopped")
