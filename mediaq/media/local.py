"""The ``Media`` tools on this machine: a child process for every file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from mediaq.errors import Rejected
from mediaq.media import process
from mediaq.media.caption import facts
from mediaq.model import Probe, SheetSet

if TYPE_CHECKING:
    from pathlib import Path

    from mediaq.kit import Progress
    from mediaq.model import Options


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """Implements :class:`mediaq.kit.Media`; ``seconds`` is the most one file may take."""

    seconds: float = 600.0

    async def probe(self, source: Path) -> Probe:
        """Read what the file says of itself; :class:`Rejected` when it is no media file."""
        answer = await process.run(
            {"work": "probe"}, name=source.name, source=source, seconds=self.seconds
        )
        try:
            return Probe.model_validate(answer)
        except ValidationError as error:
            msg = f"the decoder gave no sound answer about {source.name}"
            raise Rejected(msg, fields=[str(e["loc"]) for e in error.errors()]) from None

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
        job = {
            "work": "contact_sheets",
            "into": str(into),
            "title": title,
            "facts": facts(probe),
            "width": probe.width,
            "height": probe.height,
            "options": {
                **options.model_dump(exclude={"grid"}),
                "columns": options.columns,
                "rows": options.rows,
            },
        }
        answer = await process.run(
            job, name=title, source=source, seconds=self.seconds, tell=progress
        )
        return SheetSet.model_validate(answer)
