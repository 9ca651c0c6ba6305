"""How much there is to see in a picture, measured on its thumbnail."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import ImageChops, ImageFilter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

# Measured is a picture of about this width: what cannot be seen there is of no account.
MEASURED_WIDTH = 160
# Black is a picture with 98 % of its pixels in the lowest tenth: the defaults of ffmpeg's
# blackdetect (picture_black_ratio_th, pixel_black_th).
BLACK_GREY = 25
BLACK_SHARE = 0.98
# Blank is a variance below 256, the boring image of totem-video-thumbnailer.
BLANK = 16.0
# A fade: less than this part of the contrast usual in the video.
FADED = 0.4
# Blurred: less than this part of the sharpness usual in the video. No fixed number tells, as
# sharpness depends on what is shown (Pech-Pacheco 2000, variance of the Laplacian).
BLURRED = 0.4
# A repeat: no small block differs by more than the first and no third of them by more
# than the second, the defaults of ffmpeg's mpdecimate for each pixel (hi 12, lo 5, frac 0.33).
BLOCK = 4
BLOCK_CHANGED = 12
BLOCK_TOUCHED = 5
TOUCHED_SHARE = 0.33

LAPLACE = ImageFilter.Kernel((3, 3), (0, -1, 0, -1, 4, -1, 0, -1, 0), scale=1, offset=128)
FAULTS = ("black", "blank", "faded", "repeated", "blurred")
"""What can be wrong with a picture, the worst first."""
EMPTY = frozenset(FAULTS[:3])
"""What leaves nothing to see."""


@dataclass(frozen=True, slots=True)
class Look:
    """What can be seen: grey values from 0 to 255.

    ``dark`` is the share of near black, ``light`` the mean, ``contrast`` the standard deviation,
    ``sharp`` that of the Laplacian in parts of ``contrast``, ``blocks`` the means of small blocks.
    """

    dark: float
    light: float
    contrast: float
    sharp: float
    blocks: Image


@dataclass(frozen=True, slots=True)
class Usual:
    """The contrast and sharpness that are usual in one video."""

    contrast: float
    sharp: float


def look(image: Image) -> Look:
    """Measure ``image``."""
    grey = image.convert("L")
    grey = grey.reduce(max(1, round(grey.width / MEASURED_WIDTH)))
    counts = grey.histogram()
    light, contrast = _spread(counts)
    _, edges = _spread(grey.filter(LAPLACE).histogram())
    return Look(
        dark=sum(counts[: BLACK_GREY + 1]) / sum(counts),
        light=light,
        contrast=contrast,
        sharp=edges / max(1.0, contrast),
        blocks=grey.reduce(BLOCK),
    )


def usual(looks: Sequence[Look]) -> Usual:
    """Take the medians of the pictures that show something."""
    full = [look for look in looks if look.dark < BLACK_SHARE and look.contrast >= BLANK]
    if not full:
        return Usual(0, 0)
    return Usual(
        statistics.median(look.contrast for look in full),
        statistics.median(look.sharp for look in full),
    )


def fault(look: Look, usual: Usual, *beside: Look) -> str | None:
    """Name the worst that is wrong with a picture among those ``beside`` it, if anything is."""
    if look.dark >= BLACK_SHARE:
        return "black"
    if look.contrast < BLANK:
        return "blank"
    if look.contrast < usual.contrast * FADED:
        return "faded"
    if any(alike(look, other) for other in beside):
        return "repeated"
    if look.sharp < usual.sharp * BLURRED:
        return "blurred"
    return None


def alike(one: Look, other: Look) -> bool:
    """Tell whether two pictures show the same."""
    apart = ImageChops.difference(one.blocks, other.blocks).histogram()
    if any(apart[BLOCK_CHANGED + 1 :]):
        return False
    return sum(apart[BLOCK_TOUCHED + 1 :]) <= TOUCHED_SHARE * sum(apart)


def _spread(counts: Sequence[int]) -> tuple[float, float]:
    """Give mean and standard deviation of a histogram."""
    total = sum(counts)
    mean = sum(value * n for value, n in enumerate(counts)) / total
    return mean, (sum((value - mean) ** 2 * n for value, n in enumerate(counts)) / total) ** 0.5
