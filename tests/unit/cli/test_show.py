"""What people see on a terminal of 80 columns, with long names, wide letters and trouble."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from mediaq.cli import show
from mediaq.model import Event
from mediaq.views import AttemptView, Detail, RequestView

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LONG = "Übergrößen 東京の休日 \N{CLAPPER BOARD} und ein sehr langer Name, der nicht endet.mp4"
TROUBLE = "media_url could not be downloaded: no connection to media.example:443 (timed out)"


def shown(what: RenderableType, width: int = 80, **how: Any) -> list[str]:
    """The lines that a terminal of this width is sent."""
    out = io.StringIO()
    Console(file=out, width=width).print(what, **how)
    return out.getvalue().splitlines()


def request(model: type[RequestView] = RequestView, **values: Any) -> Any:
    fields = dict.fromkeys(model.model_fields)
    lists = ("results", "files", "contact_sheets", "steps", "attempts", "deliveries")
    given = {
        "request_id": uuid4(),
        "media_type": "video",
        "status": "completed",
        "media_path": f"/media/{LONG}",
        "options": {},
        "priority": 0,
        "attempt": 1,
        "failed_attempts": 0,
        "created_at": NOW,
        **{name: [] for name in lists if name in fields},
    }
    return model.model_validate(fields | given | values)


def event(name: str, **values: Any) -> Event:
    given = {
        "event_id": 12345,
        "request_id": uuid4(),
        "event": name,
        "status": name if name in show.COLOURS else "processing",
        "media_type": "video",
        "attempt": 1,
        "at": NOW,
    }
    return Event.model_validate(given | values)


@pytest.mark.parametrize("width", [80, 120])
def test_a_list_shows_whole_ids_and_as_much_of_a_source_as_there_is_room_for(width: int) -> None:
    requests = [request(status=status) for status in show.COLOURS]
    head, *lines = shown(show.listing(requests, width), width)
    assert ("media" in head) == (width == 120)
    for line, expected in zip(lines, requests, strict=True):
        assert cell_len(line) <= width
        assert line.startswith(f"{expected.request_id}  {expected.status} ")
        assert "Übergrößen" in line
        assert line.rstrip().endswith("…")


def test_the_same_trouble_of_many_attempts_is_told_once() -> None:
    attempts = [
        AttemptView(
            attempt=number,
            worker="host:1",
            started_at=NOW,
            finished_at=NOW,
            outcome="retried",
            error_class="Unavailable",
            error_message=TROUBLE,
            traceback=None,
        )
        for number in (1, 2, 3)
    ]
    pending = request(
        Detail, status="pending", run_after=NOW, error_message=TROUBLE, attempts=attempts
    )
    lines = shown(show.detail(pending), 200)
    assert sum(TROUBLE in line for line in lines) == 1
    assert sum("retried  host:1" in line for line in lines) == 3
    assert f"pending, not before {show.moment(NOW)}" in "\n".join(lines)


@pytest.mark.parametrize(
    ("happened", "words"),
    [
        (event("pending"), "pending"),
        (event("processing", error=TROUBLE), "processing"),
        (event("pending", error=TROUBLE), f"pending again: {TROUBLE}"),
        (event("processing", error=TROUBLE, attempt=2), "processing, attempt 2"),
        (event("failed", error=TROUBLE), f"failed: {TROUBLE}"),
        (event("step.finished", data={"step": "metadata", "duration_ms": 9}), "metadata: 9 ms"),
        (
            event("progress", data={"step": "fetch", "doing": "loading", "fraction": 0.5}),
            "fetch: loading 50%",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("of_one", [True, False])
def test_an_event_is_one_line(happened: Event, words: str, *, of_one: bool) -> None:
    (line,) = shown(show.event(happened, of_one=of_one), soft_wrap=True)
    assert line.endswith(f"  {words}")
    assert (str(happened.request_id) in line) != of_one


async def test_who_waits_for_a_request_that_is_tried_again_sees_why() -> None:
    async def happening() -> AsyncIterator[Event]:
        yield event("pending")
        yield event("processing")
        yield event("pending", error=TROUBLE)
        yield event("processing", error=TROUBLE, attempt=2)
        yield event("completed", attempt=2)

    out = io.StringIO()
    last = await show.follow(Console(file=out, width=200), happening())
    assert last.event == "completed"
    assert out.getvalue().split("\n") == [
        "• pending",
        "• processing",
        f"• pending again: {TROUBLE}",
        "• processing, attempt 2",
        "✓ completed",
        "",
    ]
