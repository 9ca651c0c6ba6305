"""The work ``previews``: pages as pictures, contact sheets of them, a thumbnail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageStat

from mediaq.media.caption import amount
from mediaq.media.child.document import damage, hands
from mediaq.media.child.document.bounds import Bounds
from mediaq.media.child.layout import Layout, lay_out
from mediaq.media.child.picture import SUFFIXES, save
from mediaq.media.child.refusal import Refusal
from mediaq.media.child.sheet import Heading, draw_sheet

if TYPE_CHECKING:
    from collections.abc import Callable

# A page of print can be read at this height.
SIDE = 1000
# Less contrast, and a page is empty.
FLAT = 3.0
DRAWING, SHEETS = 0.85, 0.15


def previews(job: dict[str, Any], tell: Callable[[float, str], None]) -> dict[str, Any]:
    """Draw the pages below ``into``.

    The answer has the fields of ``mediaq.steps.previews.Pages``.
    """
    bounds, options = Bounds(**job["bounds"]), job["options"]
    into, kind = Path(job["into"]), options["format"]
    with damage.refused(job["name"]):
        count, facts, begin = _source(job, bounds)
    most = min(count, bounds.previews, options["frames"] or count)

    def drawn(done: int) -> None:
        tell(DRAWING * done / most, f"drawing pages, {done} of {most}")

    def work() -> hands.Do:
        draw = begin()
        width = options["thumb_width"]

        def do(number: int) -> dict[str, Any]:
            page = draw(number)
            size = {"width": page.width, "height": page.height}
            path = into / f"page-{number + 1:04}.{SUFFIXES[kind]}"
            save(page if kind == "jpeg" else page.convert("RGB"), path, kind)
            # Sheets are laid out when all shapes are known; what they need is small by then.
            page.thumbnail((width, width * 3), Image.Resampling.BILINEAR, reducing_gap=1.5)
            small = page.convert("RGB")
            (into / f"small-{number}").write_bytes(small.tobytes())
            spread = max(ImageStat.Stat(small.convert("L")).stddev)
            return {**size, "small": small.size, "spread": spread}

        return do

    done = hands.each(range(most), work, bounds.page_seconds, drawn)
    notes = [f"Page {n + 1} {why} and was left out." for n, why in sorted(done.failed.items())]
    if count > most and not options["frames"]:
        notes.append(f"Only the first {most:,} of {count:,} pages were drawn, the limit.")
    if not done.pages:
        why = next(iter(done.failed.values()), "")
        msg = f"no page of {job['name']} could be drawn: the first one {why}"
        raise Refusal(msg)
    numbers = sorted(done.pages)
    tell(DRAWING, "drawing sheets")
    shapes = {number: tuple(done.pages[number]["small"]) for number in numbers}
    layout, sheets = _sheets(job | {"facts": facts}, into, shapes)
    # The first page that is not empty stands for the document.
    best = next((n for n in numbers if done.pages[n]["spread"] > FLAT), numbers[0])
    thumbnail = into / f"thumbnail.{SUFFIXES[kind]}"
    save(_small(into, best, shapes[best]), thumbnail, kind)
    for number in numbers:
        (into / f"small-{number}").unlink()
    return {
        "pages": [
            {
                "path": str(into / f"page-{n + 1:04}.{SUFFIXES[kind]}"),
                "number": n + 1,
                "width": done.pages[n]["width"],
                "height": done.pages[n]["height"],
            }
            for n in numbers
        ],
        "sheets": sheets,
        "thumbnail": {"path": str(thumbnail), "width": shapes[best][0], "height": shapes[best][1]},
        "tile_width": layout.tile_width,
        "tile_height": layout.tile_height,
        "notes": notes,
    }


def _source(
    job: dict[str, Any], bounds: Bounds
) -> tuple[int, list[str], Callable[[], Callable[[int], Image.Image]]]:
    """Count the pages, tell the facts, give what opens the document anew and draws one of them."""
    path, name, form = job["source"], job["name"], job["form"]
    size = amount(Path(path).stat().st_size)
    if form == "pdf":
        from mediaq.media.child.document import pdf

        told = pdf.metadata(pdf.open_pdf(path, name))
        shape = f"{told['page_width_mm']:.0f} x {told['page_height_mm']:.0f} mm"
        facts = [told["format"], _pages(told["pages"]), shape, size]

        def of_pdf() -> Callable[[int], Image.Image]:
            document = pdf.open_pdf(path, name)
            document.init_forms()
            return lambda number: pdf.draw_page(document, number, SIDE)

        return told["pages"], facts, of_pdf
    if form == "svg":
        from mediaq.media.child.document import svg

        svg.look(path, name)
        return (
            1,
            ["SVG", size],
            lambda: lambda _: svg.draw(path, name, SIDE, bounds, Path(job["into"])),
        )
    from mediaq.media.child.document import pictures

    told = pictures.metadata(pictures.open_picture(path, name, bounds), gps=False)
    facts = [told["format"], f"{told['width']} x {told['height']}", size]
    if told["pages"] > 1:
        facts.insert(1, _pages(told["pages"]))

    def of_image() -> Callable[[int], Image.Image]:
        picture = pictures.open_picture(path, name, bounds)
        return lambda number: pictures.shrink(pictures.page_of(picture, number, bounds), SIDE)

    return told["pages"], facts, of_image


def _pages(count: int) -> str:
    return f"{count:,} pages" if count > 1 else "1 page"


def _sheets(
    job: dict[str, Any], into: Path, shapes: dict[int, tuple[int, int]]
) -> tuple[Layout, list[dict[str, Any]]]:
    """Lay the pages out as the frames of a film are, with their numbers where times would be."""
    options, numbers, usual = job["options"], list(shapes), list(shapes.values())
    columns, rows = options["columns"], options["rows"]
    # Tiles have the shape that most pages have.
    shape = max(usual, key=usual.count)
    layout = lay_out(min(columns, len(numbers)), rows, options["thumb_width"], shape)
    each = columns * rows
    total = -(-len(numbers) // each)
    sheets = []
    for number in range(1, total + 1):
        part = numbers[(number - 1) * each : number * each]
        pictures = [_fit(_small(into, n, shapes[n]), layout) for n in part]
        corner = f"{number} / {total}" if total > 1 else ""
        # Of a picture alone the number says nothing.
        stamps = [str(n + 1) for n in part] if options["timestamps"] and len(numbers) > 1 else []
        sheet = draw_sheet(layout, Heading(job["name"], job["facts"], corner), pictures, stamps)
        path = into / f"sheet-{number:02}.{SUFFIXES[options['format']]}"
        save(sheet, path, options["format"])
        size = {"width": sheet.width, "height": sheet.height}
        across = layout.columns
        grid = {"columns": across, "rows": -(-len(part) // across), "frame_count": len(part)}
        sheets.append({"path": str(path), "number": number, **grid, **size})
    return layout, sheets


def _small(into: Path, number: int, shape: tuple[int, int]) -> Image.Image:
    return Image.frombytes("RGB", shape, (into / f"small-{number}").read_bytes())


def _fit(picture: Image.Image, layout: Layout) -> Image.Image:
    """Scale a page of another shape into its tile."""
    picture.thumbnail((layout.tile_width, layout.tile_height), Image.Resampling.BILINEAR)
    return picture
