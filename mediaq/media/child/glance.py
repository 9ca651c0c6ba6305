"""A frame seen small: what two of them have in common and how far one is moved from the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

    Plane = NDArray[np.float32]
    Spectrum = NDArray[np.complexfloating]

# Pixels of luma, whatever the shape; chroma and everything but motion has a quarter of it.
AREA = 128 * 72
SHORTEST = 16
# Grey values of coding noise in a flat picture: two of those have nothing in common or apart.
NOISE_VARIANCE = 16.0
# A move by more than this part of the picture leaves too little to compare.
FARTHEST = 0.4
# What a phase correlation without a peak comes to on small pictures.
PEAKLESS = 0.03


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """One frame: ``fine`` is luma, ``colour`` luma and chroma at half its width and height.

    ``light`` and ``contrast`` are mean and standard deviation of luma, 16 is black, 235 white.
    """

    seconds: float
    fine: Plane
    colour: Plane
    light: float
    contrast: float

    @property
    def blank(self) -> bool:
        """Tell whether there is nothing to see: a frame of one colour."""
        return self.contrast < 4  # noqa: PLR2004


class Eye:
    """Makes glances of the frames of one film; all have the size that suits the first."""

    def __init__(self) -> None:
        self._scaler = VideoReformatter()
        self._size: tuple[int, int] | None = None

    def glance(self, frame: VideoFrame, seconds: float) -> Glance:
        """Look at a frame."""
        width, height = self._size = self._size or _size(frame.width, frame.height)
        small = self._scaler.reformat(
            frame, width, height, "yuv420p", interpolation=Interpolation.AREA, threads=1
        )
        luma, u, v = (np.from_dlpack(plane) for plane in small.planes)
        fine = luma.astype(np.float32)
        rows = fine[0::2] + fine[1::2]
        half = (rows[:, 0::2] + rows[:, 1::2]) / 4
        colour = np.stack([half, u, v]).astype(np.float32)
        return Glance(seconds, fine, colour, float(half.mean()), float(half.std()))


def _size(width: int, height: int) -> tuple[int, int]:
    """Give the size to look at: the film's shape, sides that are multiples of four."""
    scale = (AREA / (width * height)) ** 0.5
    sides = (max(SHORTEST, round(side * scale / 4) * 4) for side in (width, height))
    wide, high = (min(side, AREA // SHORTEST) for side in sides)
    return wide, high


def difference(a: Glance, b: Glance, move: tuple[int, int] = (0, 0)) -> float:
    """Give the mean difference of luma and both chromas, 0 to 255, ``b`` moved back by ``move``."""
    one, other = overlap(a.colour, b.colour, move)
    return float(np.abs(one - other).mean())


def unlike(a: Glance, b: Glance) -> float:
    """Tell how little of the structure is the same, whatever the light: 0 the same, 1 nothing."""
    one, other = a.colour[0] - a.light, b.colour[0] - b.light
    common = float((one * other).mean())
    return 1 - common / (a.contrast * b.contrast + NOISE_VARIANCE)


def overlap(a: Plane, b: Plane, move: tuple[int, int]) -> tuple[Plane, Plane]:
    """Cut out of both what is to be seen in both when ``b`` shows ``a`` moved by (down, right)."""
    down, right = move
    high, wide = a.shape[-2:]
    one = a[..., max(0, -down) : high - max(0, down), max(0, -right) : wide - max(0, right)]
    other = b[..., max(0, down) : high + min(0, down), max(0, right) : wide + min(0, right)]
    return one, other


class Compass:
    """Finds how far the whole picture moved, by phase correlation.

    Kuglin and Hines, "The phase correlation image alignment method", 1975; the place of the peak
    between pixels by a parabola.
    """

    def __init__(self) -> None:
        self._seen: tuple[Glance, Spectrum] | None = None
        self._window: Plane | None = None

    def move(self, a: Glance, b: Glance) -> tuple[float, float, float]:
        """Give (down, right) in pixels of ``colour`` and how sure that is, 0 to 1."""
        before = self._seen[1] if self._seen and self._seen[0] is a else self._spectrum(a)
        now = self._spectrum(b)
        self._seen = (b, now)
        cross = now * np.conj(before)
        size = np.abs(cross)
        # What is weak is noise: it does not count as much as what is seen.
        cross /= size + size.mean() * 0.1 + 1e-6
        plane = np.fft.irfft2(cross, s=a.colour.shape[-2:])
        high, wide = plane.shape
        row, column = divmod(int(plane.argmax()), wide)
        peak = float(plane[row, column])
        down = row + _between(plane[row - 1, column], peak, plane[(row + 1) % high, column])
        right = column + _between(plane[row, column - 1], peak, plane[row, (column + 1) % wide])
        down, right = (down + high / 2) % high - high / 2, (right + wide / 2) % wide - wide / 2
        if peak < PEAKLESS or abs(down) > high * FARTHEST or abs(right) > wide * FARTHEST:
            return 0.0, 0.0, 0.0
        return down, right, peak

    def _spectrum(self, glance: Glance) -> Spectrum:
        luma = glance.colour[0]
        if self._window is None:
            sides = (np.hanning(side + 2)[1:-1] for side in luma.shape)
            self._window = np.outer(*sides).astype(np.float32)
        spectrum: Spectrum = np.fft.rfft2((luma - glance.light) * self._window)
        return spectrum


def _between(before: float, peak: float, after: float) -> float:
    """Give the summit of a parabola through three neighbours, from -0.5 to 0.5."""
    curve = before - 2 * peak + after
    return 0.0 if curve >= 0 else float(0.5 * (before - after) / curve)
