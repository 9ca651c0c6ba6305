"""Frames of a video, laid out on contact sheets, with a thumbnail and a moving preview."""

from __future__ import annotations

from typing import Any

from mediaq import pictures
from mediaq.kit import Kit, Step, Work
from mediaq.model import Frame, Made, Preview, Probe

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
    files = await pictures.store_all(
        kit,
        {
            "contact_sheet": made.sheets,
            "frame": made.frames,
            "thumbnail": [made.thumbnail],
            "preview": [made.preview] if made.preview else [],
        },
        _about,
    )
    tile = (made.tile_width, made.tile_height)
    metadata = {"method": made.method, "notes": list(made.notes)}
    sheets = pictures.rows_of(made.sheets, options, tile, made.interval_seconds, metadata)
    return Made(files=files, sheets=sheets)


def _about(picture: pictures.Shown) -> dict[str, Any]:
    if isinstance(picture, Frame):
        metadata = picture.model_dump(include=TOLD, exclude_none=True)
        return {"frame_number": picture.number, "metadata": metadata}
    if isinstance(picture, Preview):
        return {"duration_seconds": picture.duration_seconds}
    return {}


STEP = Step("contact_sheets", run, ("contact_sheets",))
