"""Drawing one contact sheet: facts above, tiles with their times below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from mediaq.media.child import lettering

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mediaq.media.child.layout import Layout

PAPER = (22, 24, 29)
HOLE = (12, 13, 16)
INK = (240, 242, 245)
FAINT = (160, 167, 178)
PLATE = (0, 0, 0, 150)
WHITE = (255, 255, 255, 255)
MARK = (255, 199, 64, 235)
INK_ON_MARK = (22, 24, 29, 255)
SEPARATOR = "  ·  "


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands above the tiles."""

    title: str
    facts: Sequence[str]
    corner: str = ""


def draw_sheet(
    layout: Layout,
    heading: Heading,
    pictures: Sequence[Image.Image],
    times: Sequence[str],
    marks: Sequence[str] = (),
) -> Image.Image:
    """Compose ``pictures`` in as many rows as they fill; without ``times`` no time stamps.

    ``marks`` are the chapters that begin with a tile, empty where none does.
    """
    rows = -(-len(pictures) // layout.columns)
    lines = _facts_in_lines(layout, heading.facts)
    top = round(layout.title_size * 1.4) + len(lines) * round(layout.text_size * 1.5)
    top += layout.margin // 2
    canvas = Image.new("RGB", (layout.width, layout.height(rows) + top), PAPER)
    draw = ImageDraw.Draw(canvas, "RGBA")
    _draw_heading(draw, layout, heading, lines)
    for i, image in enumerate(pictures):
        row, column = divmod(i, layout.columns)
        x = layout.margin + column * (layout.tile_width + layout.gap)
        y = top + layout.margin + row * (layout.tile_height + layout.gap)
        right, bottom = x + layout.tile_width, y + layout.tile_height
        if image.size != (layout.tile_width, layout.tile_height):
            draw.rectangle((x, y, right - 1, bottom - 1), fill=HOLE)
        dx = (layout.tile_width - image.width) // 2
        dy = (layout.tile_height - image.height) // 2
        canvas.paste(image, (x + dx, y + dy))
        if times:
            _draw_time(draw, layout, times[i], (right, bottom))
        if marks and marks[i]:
            _draw_mark(draw, layout, marks[i], (x, y))
    return canvas


def time_text(seconds: float, places: int = 0) -> str:
    """Write M:SS or H:MM:SS, with as many decimal places as tell frames apart."""
    parts = 10**places
    whole, part = divmod(int(seconds * parts + 1e-6), parts)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
    return f"{text}.{part:0{places}}" if places else text


def _facts_in_lines(layout: Layout, facts: Sequence[str]) -> list[str]:
    """Put as many facts on a line as fit, on three lines at most."""
    letters = lettering.font(layout.text_size)
    width = layout.width - 2 * layout.margin
    lines: list[str] = []
    for fact in facts:
        text = lettering.spell(lettering.clean(fact), letters)
        joined = f"{lines[-1]}{SEPARATOR}{text}" if lines else text
        if lines and letters.getlength(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(lettering.shorten(text, letters, width))
    return lines[:3]


def _draw_heading(
    draw: ImageDraw.ImageDraw, layout: Layout, heading: Heading, lines: Sequence[str]
) -> None:
    x, y = layout.margin, layout.margin
    small = lettering.font(layout.text_size)
    room = layout.width - 2 * layout.margin
    if heading.corner:
        width = small.getlength(heading.corner)
        place = (layout.width - layout.margin - width, y + layout.title_size * 0.25)
        draw.text(place, heading.corner, FAINT, font=small)
        room -= round(width + layout.title_size)
    title = lettering.clean(heading.title)
    large = lettering.font_for(title, layout.title_size)
    title = lettering.shorten(lettering.spell(title, large), large, room)
    draw.text((x, y), title, INK, font=large)
    y += round(layout.title_size * 1.4)
    for line in lines:
        draw.text((x, y), line, FAINT, font=small)
        y += round(layout.text_size * 1.5)


def _draw_time(
    draw: ImageDraw.ImageDraw, layout: Layout, text: str, corner: tuple[int, int]
) -> None:
    width, height, inset = _plate(layout, text)
    right, bottom = corner[0] - inset, corner[1] - inset
    _draw_plate(draw, layout, text, (right - width, bottom - height, right, bottom))


def _draw_mark(
    draw: ImageDraw.ImageDraw, layout: Layout, text: str, corner: tuple[int, int]
) -> None:
    inset = _plate(layout, "")[2]
    letters = lettering.font(layout.stamp_size)
    text = lettering.spell(lettering.clean(text), letters)
    text = lettering.shorten(text, letters, layout.tile_width - 4 * inset - layout.stamp_size)
    width, height, _ = _plate(layout, text)
    left, top = corner[0] + inset, corner[1] + inset
    _draw_plate(draw, layout, text, (left, top, left + width, top + height), MARK, INK_ON_MARK)


def _plate(layout: Layout, text: str) -> tuple[int, int, int]:
    """Give width and height of the plate behind ``text`` and its distance from the tile's edge."""
    side = max(2, round(layout.stamp_size * 0.38))
    width = round(lettering.font(layout.stamp_size).getlength(text)) + 2 * side
    return width, round(layout.stamp_size * 1.3), max(2, layout.tile_width // 80)


def _draw_plate(
    draw: ImageDraw.ImageDraw,
    layout: Layout,
    text: str,
    box: tuple[int, int, int, int],
    plate: tuple[int, int, int, int] = PLATE,
    ink: tuple[int, int, int, int] = WHITE,
) -> None:
    left, top, right, bottom = box
    draw.rounded_rectangle(box, radius=(bottom - top) // 4, fill=plate)
    middle = ((left + right) / 2, (top + bottom) / 2)
    draw.text(middle, text, ink, font=lettering.font(layout.stamp_size), anchor="mm")
