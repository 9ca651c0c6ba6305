"""The job ``contact_sheets``: frames, sheets and a thumbnail of one video, written to a folder."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from mediaq.media.child.chapters import marks
from mediaq.media.child.film import Film
from mediaq.media.child.frames import Studio
from mediaq.media.child.judge import fault, usual
from mediaq.media.child.layout import Layout, lay_out
from mediaq.media.child.moving import moving
from mediaq.media.child.picture import SUFFIXES, Shot, picture, save, shoot
from mediaq.media.child.plan import Ask
from mediaq.media.child.sheet import Heading, draw_sheet, time_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from av.video.frame import VideoFrame

    from mediaq.media.child.crew import Take
    from mediaq.media.child.frames import Taken
    from mediaq.media.child.plan import Slot

# Pictures kept in memory between decoding and drawing; beyond, they are read back from disk.
KEPT_BYTES = 192 * 1024 * 1024
BYTES_PER_PIXEL = 3
THIRD = 1 / 3


def contact_sheets(job: dict[str, Any], tell: Callable[[float, str], None]) -> dict[str, Any]:
    """Do the job; the answer has the fields of ``mediaq.model.SheetSet``."""
    options, into = job["options"], Path(job["into"])
    kind = options["format"]
    into.mkdir(parents=True, exist_ok=True)
    columns, rows = options["columns"], options["rows"]
    shown = (job["width"], job["height"])
    layout = lay_out(columns, rows, options["thumb_width"], shown)
    suffix = SUFFIXES[kind]
    room = KEPT_BYTES // (layout.picture_width * layout.picture_height * BYTES_PER_PIXEL)

    # Frames get their final names when it is known which of them stay.
    number = itertools.count()

    def develop(frame: VideoFrame, slot: Slot) -> Shot:
        image = picture(frame, layout.picture_width, layout.picture_height)
        path = into / f"taken-{next(number)}.{suffix}"
        return shoot(image, path, kind, keep=slot.place < room)

    ask = Ask(options["frames"] or columns * rows, options["interval_seconds"], options["exact"])
    film = Film(job["source"], job["name"])
    taken = Studio(film, ask, develop, lambda part: tell(part * 0.95, "taking frames")).take()
    tell(0.95, "drawing sheets")
    frames = [
        _frame(take, place, into / f"frame-{place:04}.{suffix}", layout)
        | {"instead_of": taken.replaced.get(take.slot.place)}
        for place, take in enumerate(taken.takes, start=1)
    ]
    for unused in into.glob("taken-*"):
        unused.unlink()
    paths = [Path(frame["path"]) for frame in frames]

    def image(i: int) -> Image.Image:
        return taken.takes[i].shot.image or Image.open(paths[i]).convert("RGB")

    with ThreadPoolExecutor(1) as beside:
        preview = beside.submit(moving, len(frames), image, into / "preview.webp")
        titles = marks(job["chapters"], [take.seconds + film.begin for take in taken.takes])
        sheets = _sheets(job, layout, taken, image, titles)
    best = max(range(len(frames)), key=lambda i: _interest(taken, i))
    thumbnail = into / f"thumbnail.{suffix}"
    shutil.copyfile(frames[best]["path"], thumbnail)
    size = {"width": layout.picture_width, "height": layout.picture_height}
    return {
        "frames": frames,
        "sheets": sheets,
        "thumbnail": {"path": str(thumbnail), **size},
        "preview": preview.result(),
        "tile_width": layout.tile_width,
        "tile_height": layout.tile_height,
        "interval_seconds": round(taken.spacing, 6),
        "method": "exact" if taken.exact else "keyframes",
        "notes": list(taken.notes),
    }


def _frame(take: Take, number: int, path: Path, layout: Layout) -> dict[str, Any]:
    take.shot.path.rename(path)
    return {
        "path": str(path),
        "number": number,
        "wanted_seconds": round(take.slot.wanted, 6),
        "seconds": round(take.seconds, 6),
        "width": layout.picture_width,
        "height": layout.picture_height,
    }


def _sheets(
    job: dict[str, Any],
    layout: Layout,
    taken: Taken,
    image: Callable[[int], Image.Image],
    titles: list[str],
) -> list[dict[str, Any]]:
    options, takes = job["options"], taken.takes
    each = layout.columns * layout.rows
    total = -(-len(takes) // each)
    # One sheet that is not full is as wide as its tiles.
    layout = dataclasses.replace(layout, columns=min(layout.columns, len(takes)))
    gap = min((b.seconds - a.seconds for a, b in itertools.pairwise(takes)), default=1.0)
    places = next((n for n in range(3) if gap >= 10**-n), 3)
    sheets = []
    for number in range(1, total + 1):
        part = range((number - 1) * each, min(number * each, len(takes)))
        pictures = [image(i) for i in part]
        stamped = part if options["timestamps"] else []
        times = [time_text(takes[i].seconds, places) for i in stamped]
        corner = f"{number} / {total}" if total > 1 else ""
        heading = Heading(job["name"], job["facts"], corner)
        sheet = draw_sheet(layout, heading, pictures, times, [titles[i] for i in stamped])
        path = Path(job["into"]) / f"sheet-{number:02}.{SUFFIXES[options['format']]}"
        save(sheet, path, options["format"])
        sheets.append(
            {
                "path": str(path),
                "number": number,
                "frame_count": len(part),
                "columns": layout.columns,
                "rows": -(-len(part) // layout.columns),
                "width": sheet.width,
                "height": sheet.height,
            }
        )
    return sheets


def _interest(taken: Taken, i: int) -> tuple[float, ...]:
    """Rank thumbnails: what shows something first, then what is nearest to a third of the video."""
    looks = [take.shot.look for take in taken.takes]
    common = usual(looks)
    if fault(looks[i], common) is not None:
        return 0, looks[i].contrast
    end = taken.takes[-1].seconds
    return 1, -abs(taken.takes[i].seconds - end * THIRD)
