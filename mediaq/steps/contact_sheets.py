"""Frames of a video, laid out on contact sheets, with a thumbnail and a moving preview."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mediaq.kit import Kit, Step, Work
from mediaq.model import FileType, Frame, Made, MadeFile, MadeSheet, Picture, Preview, Probe, Sheet

MIME_TYPES = {"jpeg": "image/jpeg", "webp": "image/webp", "png": "image/png"}
TOLD = {"seconds", "wanted_seconds", "instead_of"}


async def run(work: Work, kit: Kit) -> Made:
    """Take frames, compose the sheets and store every picture; bytes first, rows later."""
    options = work.request.options
    made = await kit.media.contact_sheets(
        work.source,
        kit.workspace,
        options=options,
        probe=work.result("metadata_extraction", Probe),
        title=work.title,
        progress=kit.progress,
    )
    mime_type = MIME_TYPES[options.format]

    async def store(picture: Frame | Sheet | Picture, file_type: FileType, order: int) -> MadeFile:
        frame = picture if isinstance(picture, Frame) else None
        moving = picture if isinstance(picture, Preview) else None
        return MadeFile(
            name=picture.path.name,
            file_type=file_type,
            stored=await kit.storage.put(picture.path, f"{kit.outputs}/{picture.path.name}"),
            mime_type=MIME_TYPES["webp"] if moving else mime_type,
            width=picture.width,
            height=picture.height,
            duration_seconds=moving and moving.duration_seconds,
            frame_number=frame and frame.number,
            sequence_order=order,
            metadata=frame.model_dump(include=TOLD, exclude_none=True) if frame else {},
        )

    def all_of(
        pictures: Sequence[Frame | Sheet | Picture], file_type: FileType
    ) -> list[asyncio.Task[MadeFile]]:
        return [
            group.create_task(store(picture, file_type, order))
            for order, picture in enumerate(pictures, start=1)
        ]

    async with asyncio.TaskGroup() as group:
        tasks = [
            *all_of(made.sheets, "contact_sheet"),
            *all_of(made.frames, "frame"),
            *all_of([made.thumbnail], "thumbnail"),
            *all_of([made.preview] if made.preview else [], "preview"),
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
            frame_interval_seconds=made.interval_seconds,
            image_width=sheet.width,
            image_height=sheet.height,
            thumbnail_width=made.tile_width,
            thumbnail_height=made.tile_height,
            metadata={"method": made.method, "notes": list(made.notes)},
        )
        for sheet in made.sheets
    ]
    return Made(files=[task.result() for task in tasks], sheets=sheets)


STEP = Step("contact_sheets", run, ("contact_sheets",))
