"""The text of a PDF page in the order in which people read it.

The order in which a page is drawn nearly always is the order of reading, columns included; pdfium
joins what stands on one line. Where two columns were drawn line by line across both, they are told
by their gutter and read one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pypdfium2

BINS = 200
# A gutter is looked for in the middle of the text and must be this part of its width.
MIDDLE = (0.25, 0.75)
GUTTER = 0.015
# So few lines may stand across the gutter, such as headings.
ACROSS = 0.15
# A column has at least so many lines, and they fill it; the cells of a table do not.
LINES = 6
FILLED = 0.55
# The order is mended when it changes sides as often as this part of the lines.
INTERLEAVED = 0.5
HYPHENS = ("\ufffe\r\n", "\x02\r\n", "\ufffe", "\x02")


@dataclass(frozen=True, slots=True)
class Box:
    """A piece of text on a page, in points from the lower left corner."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def row(self) -> float:
        """The height of its middle."""
        return (self.bottom + self.top) / 2


def page_text(page: pypdfium2.PdfPage, most: int) -> str:
    """Read a page; of a hyphenated word the parts are joined."""
    letters = page.get_textpage()
    count = letters.count_chars()
    if count <= 0:
        return ""
    boxes = [Box(*letters.get_rect(i)) for i in range(letters.count_rects())]
    gutter = find_gutter(boxes)
    if gutter is None:
        text = letters.get_text_range(0, min(count, most))
    else:
        parts = (letters.get_text_bounded(*area) for area in areas(boxes, gutter))
        text = "\r\n".join(part for part in parts if part.strip())
    for hyphen in HYPHENS:
        text = text.replace(hyphen, "")
    return str(text).replace("\r\n", "\n")


def find_gutter(boxes: Sequence[Box]) -> float | None:
    """Find where two interleaved columns part; None when the order needs no mending."""
    if len(boxes) < 2 * LINES:
        return None
    left, right = min(b.left for b in boxes), max(b.right for b in boxes)
    width = right - left
    if width <= 0:
        return None
    gutter = _widest_gap(boxes, left, width)
    if gutter is None:
        return None
    sides = [_side(box, gutter) for box in boxes]
    columns = [
        _lines(b for b, s in zip(boxes, sides, strict=True) if s == side) for side in (-1, 1)
    ]
    for lines in columns:
        if len(lines) < LINES:
            return None
        room = max(b.right for b in lines) - min(b.left for b in lines)
        if median(b.right - b.left for b in lines) < FILLED * room:
            return None
    order = [side for side in sides if side]
    changes = sum(a != b for a, b in pairwise(order))
    return gutter if changes > INTERLEAVED * sum(map(len, columns)) else None


def areas(boxes: Sequence[Box], gutter: float) -> list[tuple[float, float, float, float]]:
    """Cut the page into parts in reading order: between headings, the left column, then the right.

    Each is left, bottom, right, top.
    """
    left, right = min(b.left for b in boxes) - 1, max(b.right for b in boxes) + 1
    top, bottom = max(b.top for b in boxes) + 1, min(b.bottom for b in boxes) - 1
    found = []
    across = _lines(box for box in boxes if _side(box, gutter) == 0)
    for heading in sorted(across, key=lambda box: -box.top):
        if heading.top < top:
            found += [(left, heading.top, gutter, top), (gutter, heading.top, right, top)]
        found.append((left, heading.bottom, right, min(top, heading.top)))
        top = heading.bottom
    return [*found, (left, bottom, gutter, top), (gutter, bottom, right, top)]


def _side(box: Box, gutter: float) -> int:
    if box.right <= gutter:
        return -1
    return 1 if box.left >= gutter else 0


def _widest_gap(boxes: Sequence[Box], left: float, width: float) -> float | None:
    """Give the middle of the widest upright strip that hardly any text crosses."""
    steps = [0] * (BINS + 1)
    for box in boxes:
        steps[max(0, min(BINS, int((box.left - left) / width * BINS)))] += 1
        steps[max(0, min(BINS, -int(-(box.right - left) / width * BINS // 1)))] -= 1
    covered, best, start, length = 0, (0, 0.0), 0, 0
    for i in range(BINS):
        covered += steps[i]
        if covered > ACROSS * len(boxes) / 2 or not MIDDLE[0] <= i / BINS <= MIDDLE[1]:
            length = 0
            continue
        start = start if length else i
        length += 1
        best = max(best, (length, (start + length / 2) / BINS))
    return left + best[1] * width if best[0] >= max(1, GUTTER * BINS) else None


def _lines(boxes: Iterable[Box]) -> list[Box]:
    """Join pieces that stand on one line."""
    lines: list[Box] = []
    for box in sorted(boxes, key=lambda box: (-box.row, box.left)):
        if lines and abs(lines[-1].row - box.row) < (box.top - box.bottom) / 2:
            last = lines[-1]
            lines[-1] = Box(
                min(last.left, box.left),
                min(last.bottom, box.bottom),
                max(last.right, box.right),
                max(last.top, box.top),
            )
        else:
            lines.append(box)
    return lines
