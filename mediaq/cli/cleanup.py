"""``mediaq cleanup``."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from datetime import timedelta

import click

from mediaq import retention
from mediaq.cli import wiring
from mediaq.retention import Keep, Removed
from mediaq.settings import Database

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
DEFAULT = timedelta(days=30)


class Age(click.ParamType[timedelta]):
    """A time span such as 30d."""

    name = "age"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Read a whole number and its unit."""
        read = re.fullmatch(r"([0-9]{1,6})([smhdw])", str(value))
        if read is None:
            self.fail(f"{value!r} is no age such as 30d, 12h, 90m or 2w", param, ctx)
        return timedelta(**{UNITS[read[2]]: int(read[1])})


@click.command(
    "cleanup",
    help="Remove requests that ended long ago, with all rows made of them, and what the settings"
    " MEDIAQ_KEEP_* say of events, finished jobs and dead workers.",
)
@click.option(
    "--older-than",
    type=Age(),
    metavar="AGE",
    help="Requests that ended longer ago, such as 30d, 12h or 2w; default"
    " MEDIAQ_KEEP_REQUESTS_DAYS or 30d.",
)
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, older_than: timedelta | None, dry_run: bool, as_json: bool) -> None:
    """Remove, or count, what is old."""
    with wiring.opened() as (read, database):
        kept = retention.keep(read)
        if older_than is None:
            older_than = DEFAULT if kept.requests is None else kept.requests
        kept = replace(kept, requests=older_than)
        removed = wiring.run(_clean(database, kept, dry_run=dry_run))
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, **asdict(removed)}))
        return
    for kind, number in asdict(removed).items():
        click.echo(f"{'would remove' if dry_run else 'removed'} {number} {kind}")


async def _clean(database: Database, kept: Keep, *, dry_run: bool) -> Removed:
    async with wiring.small_pool(database) as pool:
        return await retention.clean(pool, kept, dry_run=dry_run)
