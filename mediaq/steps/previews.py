"""A document's pages as pictures, contact sheets of them, and a thumbnail."""

from __future__ import annotations

from mediaq import pictures
from mediaq.kit import Kit, Step, Work
from mediaq.model import Made, Picture, Sheet, Skip, Value

DRAWN = frozenset({"pdf", "image", "svg"})


class Page(Picture):
    """A page as a picture; ``number`` counts from 1."""

    number: int


class Pages(Value):
    """Everything drawn of one document, still in the workspace.

    ``notes`` tell what was left out.
    """

    pages: tuple[Page, ...]
    sheets: tuple[Sheet, ...]
    thumbnail: Picture
    tile_width: int
    tile_height: int
    notes: tuple[str, ...] = ()


async def run(work: Work, kit: Kit) -> Made:
    """Draw the pages and store every picture; bytes first, rows later."""
    if work.kind.form not in DRAWN:
        why = f"{work.title} ({work.kind.form}) has no pages until a program lays it out"
        return Made(skipped=Skip(code="no_pages", why=why))
    options = work.request.options
    made = await kit.media.ask(
        "previews",
        work.source,
        Pages,
        title=work.title,
        progress=kit.progress,
        into=str(kit.workspace),
        form=work.kind.form,
        options={
            **options.model_dump(include={"frames", "format", "thumb_width", "timestamps"}),
            "columns": options.columns,
            "rows": options.rows,
        },
    )
    files = await pictures.store_all(
        kit,
        {"contact_sheet": made.sheets, "preview": made.pages, "thumbnail": [made.thumbnail]},
        lambda picture: {"frame_number": picture.number} if isinstance(picture, Page) else {},
    )
    tile = (made.tile_width, made.tile_height)
    metadata = {"method": "pages", "notes": list(made.notes)}
    return Made(files=files, sheets=pictures.rows_of(made.sheets, options, tile, None, metadata))


STEP = Step("previews", run, ("contact_sheets",))
