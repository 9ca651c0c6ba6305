"""What a step's pictures become: stored files and the rows of contact sheets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mediaq.kit import Kit
from mediaq.model import FileType, Frame, MadeFile, MadeSheet, Options, Picture, Sheet

MIME_TYPES = {".jpg": "image/jpeg", ".webp": "image/webp", ".png": "image/png"}

Shown = Frame | Sheet | Picture

About = Callable[[Any], dict[str, Any]]
"""What more is told of a picture, as fields of :class:`MadeFile`."""


async def store(kit: Kit, picture: Shown, file_type: FileType, **more: Any) -> MadeFile:
    """Store one picture; ``more`` are further fields of its row."""
    return MadeFile(
        name=picture.path.name,
        file_type=file_type,
        stored=await kit.storage.put(picture.path, f"{kit.outputs}/{picture.path.name}"),
        mime_type=MIME_TYPES[picture.path.suffix],
        width=picture.width,
        height=picture.height,
        **more,
    )


async def store_all(
    kit: Kit, kinds: Mapping[FileType, Sequence[Shown]], about: About
) -> list[MadeFile]:
    """Store pictures of several kinds side by side, each kind in its order."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(
                store(kit, picture, file_type, sequence_order=order, **about(picture))
            )
            for file_type, pictures in kinds.items()
            for order, picture in enumerate(pictures, start=1)
        ]
    return [task.result() for task in tasks]


def rows_of(
    sheets: Sequence[Sheet],
    options: Options,
    tile: tuple[int, int],
    interval_seconds: float | None,
    metadata: dict[str, Any],
) -> list[MadeSheet]:
    """Give the rows of ``contact_sheets``; ``tile`` is its width and height in pixels."""
    return [
        MadeSheet(
            file=sheet.path.name,
            grid_cols=sheet.columns,
            grid_rows=sheet.rows,
            frame_count=sheet.frame_count,
            frames_per_sheet=options.columns * options.rows,
            sheet_number=sheet.number,
            total_sheets=len(sheets),
            frame_interval_seconds=interval_seconds,
            image_width=sheet.width,
            image_height=sheet.height,
            thumbnail_width=tile[0],
            thumbnail_height=tile[1],
            metadata=metadata,
        )
        for sheet in sheets
    ]
