"""The ``Media`` tools on this machine: a child process for every file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from mediaq.errors import Rejected
from mediaq.media import process
from mediaq.media.caption import facts
from mediaq.media.child.document.bounds import Bounds
from mediaq.media.child.extent import Extent
from mediaq.media.resident import RESIDENT, Residents
from mediaq.model import Kind, Probe, Sandbox, SheetSet

if TYPE_CHECKING:
    from mediaq.kit import Progress
    from mediaq.model import Options
    from mediaq.settings import Settings

V = TypeVar("V", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """Implements :class:`mediaq.kit.Media`; ``seconds`` is the most one file may take.

    ``residents`` do the works with models, ``models`` are folders with models of the user's own
    by the work that they are for.
    """

    seconds: float = 600.0
    residents: Residents = field(default_factory=Residents)
    models: Mapping[str, str] = field(default_factory=dict)
    extent: Extent = field(default_factory=Extent)
    bounds: Bounds = field(default_factory=Bounds)

    async def ask(
        self,
        work: str,
        source: Path,
        answer: type[V],
        *,
        title: str,
        progress: Progress | None = None,
        at_least: float = 0.0,
        **arguments: object,
    ) -> V:
        """Have the child do one of its works with JSON ``arguments`` and read its answer.

        ``at_least`` are seconds that a long file may take, whatever the limit is.
        Raises :class:`Rejected` when the child refuses the input or gives no sound answer.
        """
        limits = {"extent": asdict(self.extent), "bounds": asdict(self.bounds)}
        job = {"work": work, **limits, **arguments}
        seconds = max(self.seconds, at_least)
        if work in RESIDENT:
            job["model"] = self.models.get(work)
            told = await self.residents.run(
                job, name=title, source=source, seconds=seconds, tell=progress
            )
        else:
            told = await process.run(job, name=title, source=source, seconds=seconds, tell=progress)
        try:
            return answer.model_validate(told)
        except ValidationError as error:
            msg = f"the decoder gave no sound answer about {title}"
            raise Rejected(msg, fields=[str(e["loc"]) for e in error.errors()]) from None

    async def kind(self, source: Path, title: str) -> Kind:
        """Tell from its content what the file is; :class:`Rejected` when it is nothing we know."""
        return await self.ask("kind", source, Kind, title=title)

    async def probe(self, source: Path) -> Probe:
        """Read what the file says of itself; :class:`Rejected` when it is no media file."""
        return await self.ask("probe", source, Probe, title=source.name)

    async def sandbox(self) -> Sandbox:
        """Have a child try what its sandbox must forbid."""
        return await self.ask("trial", Path(os.devnull), Sandbox, title="the sandbox")

    async def contact_sheets(
        self,
        source: Path,
        into: Path,
        *,
        options: Options,
        probe: Probe,
        title: str,
        progress: Progress,
    ) -> SheetSet:
        """Take frames and lay them out as sheets; all pictures are written below ``into``."""
        if probe.width is None or probe.height is None:
            msg = f"{title} has no video stream to take frames from"
            raise Rejected(msg)
        return await self.ask(
            "contact_sheets",
            source,
            SheetSet,
            title=title,
            progress=progress,
            into=str(into),
            facts=facts(probe),
            chapters=[chapter.model_dump() for chapter in probe.chapters],
            width=probe.width,
            height=probe.height,
            options={
                **options.model_dump(exclude={"grid"}),
                "columns": options.columns,
                "rows": options.rows,
            },
        )


def media(
    settings: Settings,
    residents: Residents | None = None,
    models: Mapping[str, str] | None = None,
) -> LocalMedia:
    """Make the tools with the limits that the settings name."""
    extent = Extent(
        duration=settings.max_duration,
        pixels=settings.max_pixels,
        frames=settings.max_frames,
        streams=settings.max_media_streams,
    )
    bounds = Bounds(
        pages=settings.max_pages,
        previews=settings.max_previews,
        ocr_pages=settings.max_ocr_pages,
        pixels=settings.max_picture_pixels,
        expanded_bytes=settings.max_expanded_bytes,
        text_chars=settings.max_text_chars,
        page_seconds=settings.page_timeout,
    )
    return LocalMedia(
        settings.decode_timeout, residents or Residents(), models or {}, extent, bounds
    )
