"""``mediaq submit``."""

from __future__ import annotations

import asyncio
import json
import shutil
import uuid
from pathlib import Path
from typing import Any, get_args

import asyncpg
import click

from mediaq import db, events, intake, recovery, store
from mediaq.cli import EXIT_FAILED, show, wiring
from mediaq.cli.status import show_one
from mediaq.errors import Rejected
from mediaq.model import TERMINAL, Accepted, MediaType, NewRequest, Options, Status
from mediaq.settings import Database, Settings
from mediaq.storage.local import LocalStorage

TEXTS = {"grid", "format"}
"""Options whose values are texts, also when they look like numbers."""

POLL_SECONDS = 0.5

NO_WORKER = "No worker is running: this waits until one is (`mediaq worker`, or `mediaq up`)."


@click.command("submit", help="Submit SOURCE, a file or an http(s) URL.")
@click.argument("source")
@click.option("--type", "media_type", type=click.Choice(get_args(MediaType)), default="auto")
@click.option("--prompt", help="What is wanted of the analysis.")
@click.option(
    "-o",
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help=f"An option: {', '.join(sorted(Options.model_fields))}. Repeatable.",
)
@click.option("--priority", type=click.IntRange(-1000, 1000), default=0, help="Higher runs first.")
@click.option("--group", help="Whose turn it is: groups are served in turns.")
@click.option(
    "--remote", is_flag=True, help="SOURCE is a path on the workers' machine: send it as it is."
)
@click.option("--wait", is_flag=True, help="Show progress until it ends; exit 1 unless completed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(  # noqa: PLR0913 - one per option of the command
    *,
    source: str,
    media_type: MediaType,
    prompt: str | None,
    options: tuple[str, ...],
    priority: int,
    group: str | None,
    remote: bool,
    wait: bool,
    as_json: bool,
) -> int:
    """Insert a request."""
    with wiring.opened() as (read, database):
        request_id = uuid.uuid4()
        url = source if source.lower().startswith(("http://", "https://")) else None
        new = NewRequest(
            # First: nothing is copied for a misspelt one.
            options=parse_options(options),
            media_type=media_type,
            media_url=url,
            media_path=None
            if url
            else source
            if remote
            else str(place(read, Path(source), request_id)),
            prompt=prompt,
            priority=priority,
            group_key=group,
            source_endpoint="cli",
        )
        try:
            return wiring.run(_submit(database, new, request_id, wait=wait, as_json=as_json))
        except Rejected:
            shutil.rmtree(LocalStorage(read.storage).copies / str(request_id), ignore_errors=True)
            raise


def parse_options(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Read ``NAME=VALUE`` pairs, VALUE as JSON or else as text; what it may be the database says.

    Raises :class:`Rejected` that names the first that is no option.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            msg = f"an option is written NAME=VALUE, not {pair!r}"
            raise Rejected(msg)
        if name not in Options.model_fields:
            known = ", ".join(sorted(Options.model_fields))
            msg = f'unknown option "{name}"; the options are {known}'
            raise Rejected(msg)
        try:
            values[name] = value if name in TEXTS else json.loads(value)
        except ValueError:
            values[name] = value
    return values


def place(read: Settings, file: Path, request_id: uuid.UUID) -> Path:
    """Give a path that workers may read: the file's own below a root, else the request's copy."""
    if not file.is_file():
        msg = f"there is no file {file}; --remote sends a path of the workers' machine"
        raise Rejected(msg)
    storage = LocalStorage(read.storage)
    real = file.resolve()
    roots = (*read.media_roots, storage.uploads)
    if any(real.is_relative_to(root.resolve()) for root in roots):
        return real
    storage.prepare()
    return storage.copy(real, request_id)


async def _submit(
    database: Database, new: NewRequest, request_id: uuid.UUID, *, wait: bool, as_json: bool
) -> int:
    async with wiring.small_pool(database) as pool, events.bells(database) as bells:
        accepted: Accepted = await intake.insert(pool, new, request_id)
        if not wait:
            click.echo(
                json.dumps(accepted.model_dump(mode="json")) if as_json else accepted.request_id
            )
            return 0
        # Progress is for people: scripts read stdout.
        console = show.console(stderr=True)
        console.print(f"request {accepted.request_id}")
        try:
            if not await recovery.workers_alive(pool):
                console.print(NO_WORKER)
            happening = events.of_request(pool, bells, accepted.request_id)
            last: str | None = (await show.follow(console, happening)).event
        except asyncpg.InsufficientPrivilegeError:
            # A client's role may read the four tables, and not what is in schema mediaq.
            last = await _poll(pool, accepted)
            click.echo(json.dumps({"status": last}) if as_json else last)
        else:
            await show_one(database, accepted.request_id, as_json=as_json)
    return 0 if last == "completed" else EXIT_FAILED


async def _poll(pool: db.Pool, accepted: Accepted) -> Status | None:
    """Wait until the request has ended, by looking again and again."""
    while True:
        status = await store.request_status(pool, accepted.request_id)
        if status is None or status in TERMINAL:
            return status
        await asyncio.sleep(POLL_SECONDS)
