"""How requests and events look on a terminal."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import PurePath
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from mediaq.model import LAST, Event, Status
from mediaq.views import Detail, RequestView

COLOURS: dict[Status, str] = {
    "pending": "yellow",
    "processing": "cyan",
    "completed": "green",
    "failed": "red",
    "cancelled": "magenta",
}
FULL = 100
WIDE = 100
"""Columns of a terminal from which lists show everything."""
ATTEMPTS_SHOWN = 10
FILES_SHOWN = 30
"""Files of one folder that are listed; sheets come first."""


def console(*, stderr: bool = False) -> Console:
    """Make a console as wide as the terminal; what is piped is not cut to 80 columns."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else 200)


def size(count: int | None) -> str:
    """Write bytes as people read them."""
    if count is None:
        return "-"
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:  # noqa: PLR2004 - binary units
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def duration(milliseconds: int | None) -> str:
    """Write a length of time as people read it."""
    if milliseconds is None:
        return "-"
    return f"{milliseconds} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"  # noqa: PLR2004 - a second


def moment(at: datetime) -> str:
    """Write a time as the clock of whoever looks shows it."""
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def _grid() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def detail(request: Detail) -> RenderableType:
    """Lay out a request with everything that was made of it."""
    head = _grid()
    head.add_row("request", str(request.request_id))
    status = Text(request.status, style=COLOURS[request.status])
    if request.status == "pending" and request.run_after:
        status.append(f", not before {moment(request.run_after)}", style="default")
    head.add_row("status", status)
    head.add_row("media", Text(f"{request.media_type}  {request.media_path or request.media_url}"))
    if request.prompt:
        head.add_row("prompt", Text(request.prompt))
    if request.error_message:
        head.add_row("error", Text(request.error_message, style="red"))
    if request.options:
        head.add_row("options", ", ".join(f"{k}={v}" for k, v in request.options.items()))
    head.add_row("created", moment(request.created_at))
    head.add_row("took", duration(request.processing_time_ms))
    parts: list[RenderableType] = [head]
    for result in request.results:
        head.add_row(result.result_type, Text(result.content or ""))
    for attempt in _attempts(request):
        head.add_row("attempt", attempt)
    for step in request.steps:
        took = duration(step.duration_ms)
        head.add_row(
            "step", Text(f"{step.step}  " + (f"skipped: {step.why}" if step.why else took))
        )
    for call in request.deliveries:
        told = call.error or f"answered {call.status_code}"
        again = f", again at {moment(call.next_at)}" if call.next_at else ""
        sentence = f"{call.event}, call {call.attempt} {call.outcome}: {told}{again}"
        head.add_row("webhook", Text(sentence, style="" if call.error is None else "red"))
    if request.files:
        parts.append(_files(request))
    return Group(*parts)


def _attempts(request: Detail) -> Iterator[Text]:
    """Write the latest attempts, each trouble once."""
    told = {None, request.error_message}
    for attempt in request.attempts[-ATTEMPTS_SHOWN:]:
        text = Text(f"{attempt.attempt}  {attempt.outcome or 'running'}  {attempt.worker}")
        if attempt.error_message not in told:
            told.add(attempt.error_message)
            text.append(f"  {attempt.error_message}", style="dim")
        yield text


def _files(request: Detail) -> RenderableType:
    """List the files folder by folder: their paths are long and mostly the same."""
    order = {"contact_sheet": 0, "thumbnail": 1}
    files = sorted(request.files, key=lambda f: (order.get(f.file_type, 2), f.sequence_order or 0))
    folders = dict.fromkeys(PurePath(file.file_path).parent for file in files)
    parts: list[RenderableType] = []
    for folder in folders:
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        for _ in range(3):
            table.add_column(justify="right", style="dim")
        inside = [file for file in files if PurePath(file.file_path).parent == folder]
        for file in inside[:FILES_SHOWN]:
            seconds = (file.metadata or {}).get("seconds")
            table.add_row(
                Text(f"  {PurePath(file.file_path).name}"),
                size(file.file_size_bytes),
                f"{file.width}x{file.height}" if file.width else "",
                "" if seconds is None else f"at {seconds:.2f} s",
            )
        if len(inside) > FILES_SHOWN:
            table.add_row(Text(f"  … and {len(inside) - FILES_SHOWN} more", style="dim"))
        parts += [Text(f"\n{folder}/", no_wrap=True, overflow="ignore"), table]
    return Group(*parts)


def listing(requests: Sequence[RequestView], width: int) -> Table:
    """Lay out a list of requests for so many columns: ids whole, sources as far as they fit."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    wide = width >= WIDE
    for name in ("request", "status", "created", *(("media", "took") if wide else ())):
        table.add_column(name, no_wrap=True)
    table.add_column("source")
    for request in requests:
        more = (request.media_type, duration(request.processing_time_ms)) if wide else ()
        name = PurePath(request.media_path or request.media_url or "").name
        table.add_row(
            str(request.request_id),
            Text(request.status, style=COLOURS[request.status]),
            f"{request.created_at.astimezone():%m-%d %H:%M}",
            *more,
            Text(name, no_wrap=True, overflow="ellipsis"),
        )
    return table


def event(happened: Event, *, of_one: bool) -> Text:
    """Write an event as one line, without the request when all are ``of_one``."""
    line = Text(f"{happened.at.astimezone():%H:%M:%S}  {happened.event_id:>6}  ")
    line.append("" if of_one else f"{happened.request_id}  ")
    data = happened.data
    if "doing" in data:
        line.append(f"{data['step']}: {data['doing']} {data['fraction']:.0%}")
    elif "step" in data:
        line.append(f"{data['step']}: {_outcome(data)}")
    else:
        line.append(_status(happened))
    return line


def _status(happened: Event) -> Text:
    """Write what became of a request, and why; a later attempt tells that it is one."""
    line = Text(happened.event, style=COLOURS[happened.status])
    if happened.event == "processing":
        if happened.attempt > 1:
            line.append(f", attempt {happened.attempt}")
    elif happened.error:
        line.append(f"{' again' if happened.event == 'pending' else ''}: {happened.error}")
    return line


def _outcome(data: Mapping[str, Any]) -> str:
    """Say how a step ended: how long it took, or why it made nothing."""
    return f"skipped: {data['why']}" if "why" in data else duration(data["duration_ms"])


async def follow(console: Console, happening: AsyncIterator[Event]) -> Event:
    """Show a request's events as live progress until it has ended; return its last event.

    Where there is no terminal to redraw, each event is a line.
    """
    lines: dict[str, RenderableType] = {}
    with Live(console=console, refresh_per_second=12, auto_refresh=console.is_terminal) as live:
        async for told in happening:
            key, line = _progress_line(told)
            if told.event == "pending":
                lines.pop("processing", None)
            lines[key] = line
            if console.is_terminal:
                live.update(Group(*lines.values()))
            elif told.event != "progress":
                console.print(line)
            if told.event in LAST:
                return told
    msg = "events ended before the request did"
    raise AssertionError(msg)


def _progress_line(told: Event) -> tuple[str, RenderableType]:
    """Lay out one event as the line that it takes in a live view, under the line's key."""
    data = told.data
    if told.event == "progress":
        row = Table.grid(padding=(0, 1))
        row.add_row(
            Spinner("dots", f"{data['step']:16}"),
            ProgressBar(total=FULL, completed=FULL * data["fraction"], width=30),
            Text(data["doing"], style="dim"),
        )
        return data["step"], row
    if told.event == "step.finished":
        mark = ("- ", "dim") if "why" in data else ("✓ ", "green")
        line = Text.assemble(mark, f"{data['step']:16}", (f" {_outcome(data)}", "dim"))
        return data["step"], line
    sign = "✓" if told.event == "completed" else "✗" if told.event in LAST else "•"
    return told.event, Text.assemble((f"{sign} ", COLOURS[told.status]), _status(told))
