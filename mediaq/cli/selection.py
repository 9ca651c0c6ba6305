"""The commands that change requests, named by their ids or found by a filter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import UUID

import click

from mediaq import changes
from mediaq.changes import Change, Filter
from mediaq.cli import EXIT_FAILED, EXIT_WRONG, wiring
from mediaq.errors import Rejected
from mediaq.model import MediaType, Status
from mediaq.settings import Database

TYPES: tuple[MediaType, ...] = ("video", "audio", "document", "auto")
USAGE = "name requests by their ids, or a filter (--all for every request), not both"


def command(change: Change, done: str, statuses: Sequence[Status], about: str) -> click.Command:
    """Make the command for a change; ``done`` says what then was done, in one word."""

    @click.command(change, help=about)
    @click.argument("request_ids", type=click.UUID, nargs=-1, metavar="[ID]...")
    @click.option("--status", type=click.Choice(statuses), help="All of this status.")
    @click.option("--type", "media_type", type=click.Choice(TYPES), help="All of this media type.")
    @click.option("--created-by", help="All of this client.")
    @click.option("--older-than", metavar="TIME", help="All made before, e.g. '30 days' or 12h.")
    @click.option("--all", "every", is_flag=True, help="All, without another filter.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    def run(
        *,
        request_ids: tuple[UUID, ...],
        status: Status | None,
        media_type: MediaType | None,
        created_by: str | None,
        older_than: str | None,
        every: bool,
        as_json: bool,
    ) -> int:
        which = Filter(
            status=status, media_type=media_type, created_by=created_by, older_than=older_than
        )
        if bool(request_ids) == (every or which != Filter()):
            raise click.UsageError(USAGE)
        with wiring.opened(quiet=True) as (_, database):
            if request_ids:
                return wiring.run(_each(database, change, done, request_ids, as_json=as_json))
            count = wiring.run(_many(database, change, which))
        requests = "request" if count == 1 else "requests"
        click.echo(json.dumps({done: count}) if as_json else f"{done} {count} {requests}")
        return 0

    return run


async def _many(database: Database, change: Change, which: Filter) -> int:
    async with wiring.small_pool(database) as pool:
        return await changes.many(pool, change, which)


async def _each(
    database: Database, change: Change, done: str, request_ids: Sequence[UUID], *, as_json: bool
) -> int:
    """Change each request on its own: one that is refused does not hold up the others."""
    code = 0
    told = []
    async with wiring.small_pool(database) as pool:
        for request_id in request_ids:
            refusal = None
            try:
                await changes.one(pool, change, request_id)
            except Rejected as error:
                refusal = error.message
                code = max(code, EXIT_WRONG if isinstance(error, changes.Unknown) else EXIT_FAILED)
            told.append({"request_id": str(request_id), done: refusal is None, "error": refusal})
            if as_json:
                continue
            if refusal is None:
                click.echo(f"{request_id} {done}")
            else:
                click.echo(f"mediaq: {request_id}: {refusal}", err=True)
    if as_json:
        click.echo(json.dumps(told, indent=2))
    return code
