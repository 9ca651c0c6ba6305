"""How much of a foreign file is taken on at all: the operator's limits, told to the child once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

HOUR = 3600
MEGA = 1_000_000


@dataclass(frozen=True, slots=True)
class Extent:
    """Limits on one file: its length in seconds, pixels of one picture, frames, streams.

    The defaults are those of :class:`mediaq.settings.Settings`.
    """

    duration: float = 168 * HOUR
    pixels: int = 64 * 1024 * 1024
    frames: int = 10_000_000
    streams: int = 200

    def too_long(self, seconds: float) -> str | None:
        """Say why a file of this length is refused, as the end of a sentence; None if it is not."""
        if seconds <= self.duration:
            return None
        return (
            f"says that it lasts {_time(seconds)};"
            f" {_time(self.duration)} is the limit (MEDIAQ_MAX_DURATION)"
        )

    def too_large(self, width: int, height: int) -> str | None:
        """Say why pictures of this size are refused."""
        if width * height <= self.pixels:
            return None
        return (
            f"has pictures of {width} x {height} pixels;"
            f" {self.megapixels} megapixels is the limit (MEDIAQ_MAX_PIXELS)"
        )

    @property
    def megapixels(self) -> str:
        """The limit on pixels as people say it."""
        return f"{self.pixels / MEGA:,.3g}"

    def too_many_frames(self, count: int) -> str | None:
        """Say why this many frames are refused."""
        if count <= self.frames:
            return None
        return f"holds more than {self.frames:,} frames, the limit (MEDIAQ_MAX_FRAMES)"

    def too_many_streams(self, count: int) -> str | None:
        """Say why this many streams are refused."""
        if count <= self.streams:
            return None
        return f"holds more than {self.streams:,} streams, the limit (MEDIAQ_MAX_MEDIA_STREAMS)"


def _time(seconds: float) -> str:
    if seconds < HOUR:
        return f"{seconds:.3g} s"
    return f"{seconds / HOUR:,.1f}".removesuffix(".0") + " h"


_current = Extent()


def current() -> Extent:
    """Give the limits in force in this process."""
    return _current


def put_in_force(told: Mapping[str, float]) -> None:
    """Take the limits that came with the job; what it leaves out keeps its default."""
    global _current  # noqa: PLW0603 - a child has one job and one set of limits
    _current = Extent(**told)  # type: ignore[arg-type]
