"""``mediaq watch``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import click

from mediaq import db, events, store
from mediaq.cli import EXIT_FAILED, show, wiring
from mediaq.errors import Rejected
from mediaq.events import Bells
from mediaq.model import LAST, Event
from mediaq.settings import Database


@click.command(
    "watch",
    help="Follow a request until it ends (exit 1 when it did not complete), or all events until"
    " Ctrl-C. A request is told from its beginning, the feed of all from now; --since EVENT goes"
    " on behind an event seen before.",
)
@click.argument("request_id", type=click.UUID, required=False)
@click.option(
    "--since", type=click.IntRange(0, 2**63 - 1), metavar="EVENT", help="Start behind this event."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def command(*, request_id: UUID | None, since: int | None, as_json: bool) -> int:
    """Print events as they happen."""
    with wiring.opened() as (_, database):
        return wiring.run(_watch(database, request_id, since, as_json=as_json))


async def _watch(
    database: Database, request_id: UUID | None, since: int | None, *, as_json: bool
) -> int:
    console = show.console()
    async with wiring.small_pool(database) as pool, events.bells(database) as bells:
        if request_id is not None and since is not None:
            # Whoever saw the end and asks what came after it is told how it ended, and no more.
            standing = await events.standing(pool, request_id)
            if standing.status is not None and standing.over(since):
                return 0 if standing.status == "completed" else EXIT_FAILED
        async for event in await _events(pool, bells, request_id, since):
            if as_json:
                click.echo(event.model_dump_json())
            else:
                # One event stays one line, to be copied or piped.
                line = show.event(event, of_one=request_id is not None)
                console.print(line, soft_wrap=True)
            if request_id is not None and event.event in LAST:
                return 0 if event.event == "completed" else EXIT_FAILED
    return 0


async def _events(
    pool: db.Pool, bells: Bells, request_id: UUID | None, since: int | None
) -> AsyncIterator[Event]:
    if request_id is None:
        return events.feed(pool, bells, await events.cursor(pool, since=since))
    if await store.request_status(pool, request_id) is None:
        msg = f"no request has the id {request_id}"
        raise Rejected(msg)
    return events.of_request(pool, bells, request_id, since=since or 0)
