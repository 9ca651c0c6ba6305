"""Which way up a picture is shown, and how wide its pixels are."""

from __future__ import annotations

from dataclasses import dataclass
from struct import error, unpack
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from fractions import Fraction

    from av.sidedata.sidedata import SideDataContainer
    from av.video.frame import VideoFrame

QUARTER = 90


@dataclass(frozen=True, slots=True)
class Upright:
    """What must be done to a decoded picture: mirror it left to right, then turn it clockwise."""

    degrees: int
    mirrored: bool


def upright(frame: VideoFrame) -> Upright:
    """Read the display matrix of ``frame``; only quarter turns and mirrors are known.

    The matrix maps stored (x, y) to shown (a*x + c*y, b*x + d*y), in 16.16 fixed point
    (libavutil/display.h).
    """
    try:
        known = cast("SideDataContainer", frame.side_data)
        a, b, _, c, d = unpack("=5i", bytes(known["DISPLAYMATRIX"])[:20])
    except KeyError:
        return Upright(0, mirrored=False)
    except (ValueError, error):
        # PyAV stumbles over kinds of side data newer than itself.
        return Upright(round(-frame.rotation / QUARTER) * QUARTER % 360, mirrored=False)
    mirrored = a * d - b * c < 0
    if mirrored:
        # The mirror is done first: x becomes -x, so its column changes sign.
        a, b = -a, -b
    if abs(a) >= abs(b):
        return Upright(0 if a >= 0 else 2 * QUARTER, mirrored)
    return Upright(QUARTER if b > 0 else 3 * QUARTER, mirrored)


def displayed_size(
    width: int, height: int, pixel: Fraction | None, degrees: int
) -> tuple[int, int]:
    """Give the size on a screen: pixels made square, then turned."""
    if pixel and pixel > 0:
        width = max(1, round(width * pixel))
    return (height, width) if degrees % (2 * QUARTER) else (width, height)
