"""``mediaq demo``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mediaq import events, intake, migrate, store
from mediaq.cli import EXIT_FAILED, EXIT_INTERRUPTED, show, wiring
from mediaq.cli.submit import place
from mediaq.errors import Unavailable
from mediaq.media import ffmpeg, sample
from mediaq.model import Accepted, Event, NewRequest
from mediaq.settings import Database, Settings
from mediaq.views import Detail

SAMPLE = "mediaq-sample.mp4"
PROMPT = "What is in this video?"


@click.command(
    "demo",
    help="Show the whole way: database, API, worker, a sample video (or VIDEO), contact sheets.",
)
@click.argument(
    "video", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False
)
@click.option("--keep", is_flag=True, help="Go on serving afterwards, until Ctrl-C.")
def command(*, video: Path | None, keep: bool) -> int:
    """Run one request from INSERT to event."""
    console = show.console()
    started = time.monotonic()
    with wiring.opened(quiet=True) as (read, database):
        _tick(console, "PostgreSQL", f"{database.address} ({database.source})", started)
        return wiring.run(_demo(console, read, database, video, keep=keep))


async def _demo(
    console: Console, read: Settings, database: Database, video: Path | None, *, keep: bool
) -> int:
    started = time.monotonic()
    applied = await migrate.migrate(database, tell=lambda _: None)
    _tick(console, "schema", f"{len(applied)} migrations applied", started)
    stop = wiring.stop_on_signals()
    async with _served(read, database, stop) as url:
        _tick(console, "API and worker", url, started)
        showing = asyncio.create_task(_show(console, read, database, video, url, keep=keep))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({showing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not showing.done():
            showing.cancel()
            await asyncio.wait({showing})
            return EXIT_INTERRUPTED
        code = showing.result()
        if keep:
            await stopping
        stopping.cancel()
    return code


async def _show(
    console: Console,
    read: Settings,
    database: Database,
    video: Path | None,
    url: str,
    *,
    keep: bool,
) -> int:
    """Make the sample if no video was given, submit it, and tell what came of it."""
    started = time.monotonic()
    if video is None:
        video = read.storage / "uploads" / SAMPLE
        if not video.exists():
            with console.status("making a sample video with ffmpeg"):
                await sample.make_sample(video, str(ffmpeg.find_ffmpeg(read.ffmpeg).ffmpeg))
        _tick(console, "sample video", str(video), started)
    request_id = uuid4()
    path = await asyncio.to_thread(place, read, video, request_id)
    detail, last = await _submit(console, database, str(path), request_id)
    _report(console, database, detail, url, keep=keep)
    return 0 if last.event == "completed" else EXIT_FAILED


@asynccontextmanager
async def _served(read: Settings, database: Database, stop: asyncio.Event) -> AsyncIterator[str]:
    """Serve API and worker for the length of the block; yield the API's URL."""
    loop = asyncio.get_running_loop()
    url: asyncio.Future[str] = loop.create_future()
    working: asyncio.Future[None] = loop.create_future()

    async def api(settings: Settings) -> None:
        await wiring.serve_api(settings, database, stop, url.set_result)

    async def api_somewhere() -> None:
        try:
            await api(read)
        except Unavailable:
            # The usual port is taken, perhaps by a service that runs for good.
            await api(read.model_copy(update={"port": 0}))

    tasks = [
        asyncio.create_task(api_somewhere()),
        asyncio.create_task(
            wiring.serve_worker(read, database, stop, lambda _: working.set_result(None))
        ),
    ]
    try:
        waiting: set[asyncio.Future[Any]] = {asyncio.gather(url, working), *tasks}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
        yield url.result()
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def _submit(
    console: Console, database: Database, path: str, request_id: UUID
) -> tuple[Detail, Event]:
    """Insert a request, show how it goes, and read what came of it."""
    new = NewRequest(media_type="video", media_path=path, prompt=PROMPT, source_endpoint="demo")
    async with wiring.small_pool(database) as pool, events.bells(database) as bells:
        accepted: Accepted = await intake.insert(pool, new, request_id)
        console.print(
            "\n[bold]INSERT INTO[/] media_analysis_requests (media_type, media_path, prompt) "
            "[bold]VALUES[/] ('video', …)",
            highlight=False,
        )
        last = await show.follow(console, events.of_request(pool, bells, accepted.request_id))
        detail = await store.detail(pool, accepted.request_id)
    if detail is None:
        msg = "the demo's request was deleted meanwhile"
        raise Unavailable(msg)
    return Detail.model_validate_json(detail), last


def _report(console: Console, database: Database, detail: Detail, url: str, *, keep: bool) -> None:
    console.print()
    console.print(show.detail(detail), soft_wrap=True)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    table.add_row("status", Text(f"{url}/api/media/status/{detail.request_id}"))
    table.add_row("list", Text(f"{url}/api/media/requests"))
    table.add_row("health", Text(f"{url}/health"))
    console.print()
    console.print(table, soft_wrap=True)
    if keep:
        if database.psql:
            # In one piece, to be copied.
            console.print(Text(database.psql), soft_wrap=True)
        console.print("\nServing until Ctrl-C.")
    else:
        console.print(
            "\n[dim]They answer while it serves: `mediaq demo --keep`, or `mediaq up`.[/]"
        )


def _tick(console: Console, what: str, detail: str, started: float) -> None:
    seconds = time.monotonic() - started
    console.print(
        Text.assemble(("✓ ", "green"), f"{what:15}", (f" {detail}  {seconds:.1f} s", "dim")),
        soft_wrap=True,
    )
