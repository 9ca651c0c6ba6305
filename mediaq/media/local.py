"""The ``Media`` tools on this machine: a child process for every file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from mediaq.errors import Rejected
from mediaq.media import process
from mediaq.media.caption import facts
from mediaq.media.child.document.bounds import Bounds
from mediaq.model import Kind, Probe, SheetSet

if TYPE_CHECKING:
    from pathlib import Path

    from mediaq.kit import Progress
    from mediaq.model import Options
    from mediaq.settings import Settings

V = TypeVar("V", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """Implements :class:`mediaq.kit.Media`; ``seconds`` is the most one file may take."""

    seconds: float = 600.0
    bounds: Bounds = field(default_factory=Bounds)

    async def ask(
        self,
        work: str,
        source: Path,
        answer: type[V],
        *,
        title: str,
        progress: Progress | None = None,
        **arguments: object,
    ) -> V:
        """Have the child do one of its works with JSON ``arguments`` and read its answer.

        Raises :class:`Rejected` when the child refuses the input or gives no sound answer.
        """
        told = await process.run(
            {"work": work, "bounds": asdict(self.bounds), **arguments},
            name=title,
            source=source,
            seconds=self.seconds,
            tell=progress,
        )
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
            width=probe.width,
            height=probe.height,
            options={
                **options.model_dump(exclude={"grid"}),
                "columns": options.columns,
                "rows": options.rows,
            },
        )


def bounds(read: Settings) -> Bounds:
    """Take the bounds of documents from the settings."""
    return Bounds(
        pages=read.max_pages,
        previews=read.max_previews,
        ocr_pages=read.max_ocr_pages,
        pixels=read.max_picture_pixels,
        expanded_bytes=read.max_expanded_bytes,
        text_chars=read.max_text_chars,
        page_seconds=read.page_timeout,
    )
