"""The job ``storyboard``: small frames on sprite sheets, with WebVTT and JSON for players."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from mediaq.media.child.film import Film
from mediaq.media.child.frames import Studio
from mediaq.media.child.judge import look
from mediaq.media.child.layout import Layout, lay_out
from mediaq.media.child.picture import Shot, picture, save
from mediaq.media.child.plan import Ask
from mediaq.media.child.times import spaced_times

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from av.video.frame import VideoFrame

    from mediaq.media.child.crew import Take
    from mediaq.media.child.plan import Slot

# Pictures kept in memory until they are pasted; beyond, they wait on disk.
KEPT_BYTES = 128 * 1024 * 1024
BYTES_PER_PIXEL = 3
MAX_TILES = 5000
# Intervals that read well, in seconds.
INTERVALS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600)


class Even(Ask):
    """A frame at every interval; one that grows with the root of the length where none is given.

    A minute has one every 2 s, an hour every 15 s, ten hours every minute.
    """

    def spacing(self, duration: float) -> float:
        """Give the distance between wanted times."""
        if self.interval is not None:
            return self.interval
        root = duration**0.5 / 5
        return next((each for each in INTERVALS if each >= root), INTERVALS[-1])

    def times(self, duration: float) -> list[float]:
        """Give the wanted times for a video of ``duration`` seconds."""
        return spaced_times(duration, self.spacing(duration), MAX_TILES)


@dataclass(frozen=True, slots=True)
class Tile:
    """A frame on a sprite sheet, shown from ``start`` to ``end`` while seeking."""

    start: float
    end: float
    seconds: float
    sheet: str
    x: int
    y: int


def storyboard(job: dict[str, Any], tell: Callable[[float, str], None]) -> dict[str, Any]:
    """Do the job; the answer has the fields of ``mediaq.steps.storyboard.Sprites``."""
    into = Path(job["into"])
    into.mkdir(parents=True, exist_ok=True)
    shown = (job["width"], job["height"])
    layout = lay_out(job["columns"], job["rows"], job["tile_width"], shown, "storyboard width")
    room = KEPT_BYTES // (layout.picture_width * layout.picture_height * BYTES_PER_PIXEL)

    def develop(frame: VideoFrame, slot: Slot) -> Shot:
        image = picture(frame, layout.picture_width, layout.picture_height)
        path = into / f"waiting-{slot.place}.png"
        keep = slot.place < room
        if not keep:
            save(image, path, "png")
        return Shot(path, image if keep else None, look(image))

    ask = Even(0, job["interval_seconds"], exact=False, choose=False)
    film = Film(job["source"], job["name"])
    taken = Studio(film, ask, develop, lambda part: tell(part * 0.95, "taking frames")).take()
    tell(0.95, "drawing the storyboard")
    sheets = _draw(into, layout, taken.takes)
    tiles = _tiles(layout, taken.takes, taken.duration)
    (into / "storyboard.vtt").write_text(_vtt(layout, tiles), encoding="utf-8")
    about = {
        "duration_seconds": round(taken.duration, 3),
        "interval_seconds": round(taken.spacing, 3),
        "columns": layout.columns,
        "rows": layout.rows,
        "tile_width": layout.tile_width,
        "tile_height": layout.tile_height,
    }
    told = {
        **about,
        "sheets": [Path(sheet["path"]).name for sheet in sheets],
        "tiles": [
            {
                "start": round(tile.start, 3),
                "end": round(tile.end, 3),
                "seconds": round(tile.seconds, 3),
                "sheet": tile.sheet,
                "x": tile.x,
                "y": tile.y,
                "width": layout.tile_width,
                "height": layout.tile_height,
            }
            for tile in tiles
        ],
    }
    (into / "storyboard.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    return {
        **about,
        "sheets": sheets,
        "vtt": str(into / "storyboard.vtt"),
        "coordinates": str(into / "storyboard.json"),
        "notes": list(taken.notes),
    }


def _draw(into: Path, layout: Layout, takes: Sequence[Take]) -> list[dict[str, Any]]:
    each = layout.columns * layout.rows
    sheets = []
    for first in range(0, len(takes), each):
        part = takes[first : first + each]
        columns, rows = min(layout.columns, len(takes)), -(-len(part) // layout.columns)
        sprite = Image.new("RGB", (columns * layout.tile_width, rows * layout.tile_height))
        for i, take in enumerate(part):
            x, y = _place(layout, i)
            image = take.shot.image or Image.open(take.shot.path)
            dx = (layout.tile_width - image.width) // 2
            dy = (layout.tile_height - image.height) // 2
            sprite.paste(image, (x + dx, y + dy))
            take.shot.path.unlink(missing_ok=True)
        path = into / _name(first // each)
        save(sprite, path, "jpeg")
        sheets.append({"path": str(path), "width": sprite.width, "height": sprite.height})
    return sheets


def _tiles(layout: Layout, takes: Sequence[Take], duration: float) -> list[Tile]:
    """Cut the whole length into parts, each with the frame that stands for it."""
    starts = [0.0, *(take.slot.wanted for take in takes[1:])]
    ends = [*starts[1:], max(duration, starts[-1] + 0.001)]
    each = layout.columns * layout.rows
    return [
        Tile(start, end, take.seconds, _name(i // each), *_place(layout, i % each))
        for i, (start, end, take) in enumerate(zip(starts, ends, takes, strict=True))
    ]


def _vtt(layout: Layout, tiles: Sequence[Tile]) -> str:
    size = f"{layout.tile_width},{layout.tile_height}"
    cues = [
        f"{_clock(tile.start)} --> {_clock(tile.end)}\n{tile.sheet}#xywh={tile.x},{tile.y},{size}\n"
        for tile in tiles
    ]
    return "\n".join(["WEBVTT\n", *cues])


def _name(number: int) -> str:
    return f"storyboard-{number + 1:02}.jpg"


def _place(layout: Layout, i: int) -> tuple[int, int]:
    row, column = divmod(i, layout.columns)
    return column * layout.tile_width, row * layout.tile_height


def _clock(seconds: float) -> str:
    whole, part = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}.{part:03}"
