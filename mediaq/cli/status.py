"""``mediaq status``."""

from __future__ import annotations

from typing import get_args
from uuid import UUID

import click

from mediaq import store
from mediaq.cli import show, wiring
from mediaq.errors import Rejected
from mediaq.model import MediaType, Status
from mediaq.settings import Database
from mediaq.views import Detail, RequestView


@click.command(
    "status", help="Show a request with all that was made of it, or the latest requests."
)
@click.argument("request_id", type=click.UUID, required=False)
@click.option("--status", "only", type=click.Choice(get_args(Status)), help="Only these.")
@click.option("--type", "media_type", type=click.Choice(get_args(MediaType)), help="Only these.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    *,
    request_id: UUID | None,
    only: Status | None,
    media_type: MediaType | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show one request, or a list."""
    with wiring.opened() as (_, database):
        if request_id is not None:
            wiring.run(show_one(database, request_id, as_json=as_json))
            return
        rows = wiring.run(_rows(database, only, media_type, limit))
    if as_json:
        click.echo(f"[{','.join(rows)}]")
    elif rows:
        console = show.console()
        requests = [RequestView.model_validate_json(row) for row in rows]
        console.print(show.listing(requests, console.width))
    else:
        click.echo("no requests")


async def show_one(database: Database, request_id: UUID, *, as_json: bool) -> None:
    """Print a request; :class:`Rejected` when there is none with this id."""
    async with wiring.small_pool(database) as pool:
        detail = await store.detail(pool, request_id)
    if detail is None:
        msg = f"no request has the id {request_id}"
        raise Rejected(msg)
    if as_json:
        click.echo(detail)
    else:
        show.console().print(show.detail(Detail.model_validate_json(detail)), soft_wrap=True)


async def _rows(
    database: Database, only: Status | None, media_type: MediaType | None, limit: int
) -> list[str]:
    async with wiring.small_pool(database) as pool:
        return await store.list_requests(
            pool, status=only, media_type=media_type, limit=limit, offset=0
        )
