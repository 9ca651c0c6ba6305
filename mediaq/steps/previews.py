"""A document's pages as pictures, contact sheets of them, and a thumbnail."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mediaq.kit import Kit, Step, Work
from mediaq.model import FileType, Made, MadeFile, MadeSheet, Picture, Sheet, Skip, Value

MIME_TYPES = {"jpeg": "image/jpeg", "webp": "image/webp", "png": "image/png"}
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
    mime_type = MIME_TYPES[options.format]

    async def store(picture: Page | Sheet | Picture, file_type: FileType, order: int) -> MadeFile:
        return MadeFile(
            name=picture.path.name,
            file_type=file_type,
            stored=await kit.storage.put(picture.path, f"{kit.outputs}/{picture.path.name}"),
            mime_type=mime_type,
            width=picture.width,
            height=picture.height,
            frame_number=picture.number if isinstance(picture, Page) else None,
            sequence_order=order,
        )

    def all_of(
        pictures: Sequence[Page | Sheet | Picture], file_type: FileType
    ) -> list[asyncio.Task[MadeFile]]:
        return [
            group.create_task(store(picture, file_type, order))
            for order, picture in enumerate(pictures, start=1)
        ]

    async with asyncio.TaskGroup() as group:
        stored = [
            *all_of(made.sheets, "contact_sheet"),
            *all_of(made.pages, "preview"),
            *all_of([made.thumbnail], "thumbnail"),
        ]
    sheets = [
        MadeSheet(
            file=sheet.path.name,
            grid_cols=sheet.columns,
            grid_rows=sheet.rows,
            frame_count=sheet.frame_count,
            frames_per_sheet=options.columns * options.rows,
            sheet_number=sheet.number,
            total_sheets=len(made.sheets),
            frame_interval_seconds=None,
            image_width=sheet.width,
            image_height=sheet.height,
            thumbnail_width=made.tile_width,
            thumbnail_height=made.tile_height,
            metadata={"method": "pages", "notes": list(made.notes)},
        )
        for sheet in made.sheets
    ]
    return Made(files=[task.result() for task in stored], sheets=sheets)


STEP = Step("previews", run, ("contact_sheets",))
