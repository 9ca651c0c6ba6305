"""A storyboard for players: sprite sheets of small frames, with WebVTT and JSON coordinates."""

from __future__ import annotations

from pathlib import Path

from mediaq.kit import Kit, Step, Work
from mediaq.model import Made, MadeFile, Picture, Probe, Storyboard, Value


class Sprites(Value):
    """What the child made of one video, still in the workspace; sizes in pixels."""

    sheets: tuple[Picture, ...]
    vtt: Path
    coordinates: Path
    duration_seconds: float
    interval_seconds: float
    columns: int
    rows: int
    tile_width: int
    tile_height: int
    notes: tuple[str, ...] = ()


ABOUT = {"interval_seconds", "columns", "rows", "tile_width", "tile_height", "notes"}


async def run(work: Work, kit: Kit) -> Made:
    """Take a frame at every interval, lay them out without gaps, and say where each is."""
    asked = work.request.options.storyboard or Storyboard()
    probe = work.result("metadata_extraction", Probe)
    columns, rows = asked.grid.split("x")
    made = await kit.media.ask(
        "storyboard",
        work.source,
        Sprites,
        title=work.title,
        progress=kit.progress,
        into=str(kit.workspace),
        width=probe.width,
        height=probe.height,
        interval_seconds=asked.interval_seconds,
        tile_width=asked.width,
        columns=int(columns),
        rows=int(rows),
    )

    async def store(
        order: int, path: Path, mime_type: str, picture: Picture | None = None
    ) -> MadeFile:
        return MadeFile(
            name=path.name,
            file_type="preview",
            stored=await kit.storage.put(path, f"{kit.outputs}/{path.name}"),
            mime_type=mime_type,
            width=picture and picture.width,
            height=picture and picture.height,
            sequence_order=order,
            duration_seconds=made.duration_seconds,
            metadata={"storyboard": made.model_dump(mode="json", include=ABOUT)},
        )

    last = len(made.sheets)
    return Made(
        files=[
            *[
                await store(order, sheet.path, "image/jpeg", sheet)
                for order, sheet in enumerate(made.sheets, start=1)
            ],
            await store(last + 1, made.vtt, "text/vtt"),
            await store(last + 2, made.coordinates, "application/json"),
        ]
    )


STEP = Step("storyboard", run, only_if=lambda options: options.storyboard is not None)
