"""``mediaq api``."""

from __future__ import annotations

import click

from mediaq.cli import wiring


@click.command("api", help="Run the HTTP API until SIGTERM or Ctrl-C.")
@click.option("--host", help="Address to listen on; default MEDIAQ_HOST or 127.0.0.1.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port; default MEDIAQ_PORT, PORT or 8001."
)
def command(host: str | None, port: int | None) -> None:
    """Serve HTTP."""
    with wiring.opened(host=host, port=port) as (read, database):
        wiring.run(wiring.serve("api", read, database, wiring.serve_api))
