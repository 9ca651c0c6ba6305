"""Which tile of a contact sheet begins a chapter."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def marks(chapters: Sequence[dict[str, Any]], times: Sequence[float]) -> list[str]:
    """Give for each time the title of the chapter that it is the first to show, else nothing."""
    chapters = sorted(chapters, key=lambda chapter: chapter["start_seconds"])
    starts = [chapter["start_seconds"] for chapter in chapters]
    found, before = [], -1
    for when in times:
        at = bisect_right(starts, when + 1e-6) - 1
        begins = at >= 0 and at != before
        found.append(chapters[at]["title"] or f"Chapter {at + 1}" if begins else "")
        before = at
    return found
