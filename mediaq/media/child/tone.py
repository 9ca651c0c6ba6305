"""High dynamic range shown on an ordinary screen: a table from signal to signal.

Setting up swscale's tone mapping takes more than a second for each file; this takes 40 ms. The
picture is mapped after it was shrunk, as 8 bits of PQ or HLG, which a thumbnail does not betray.
"""

from __future__ import annotations

from functools import cache

from av.video.reformatter import ColorTrc
from PIL import Image, ImageFilter

PQ, HLG = int(ColorTrc.SMPTE2084), int(ColorTrc.ARIB_STD_B67)
CURVES = frozenset({PQ, HLG})

# Points along the sides of the table; between them Pillow interpolates. It stands in YCbCr, where
# grey lies along one side: in RGB grey would take on a tint between the points.
GREYS, COLOURS = 33, 13
# What is brighter than this many cd/m2 is white; ITU-R BT.2408 has diffuse white at 203.
PEAK = 1000.0
WHITE = 203.0
# Constants of SMPTE ST 2084.
M1, M2 = 2610 / 16384, 2523 / 32
C1, C2, C3 = 3424 / 4096, 2413 / 128, 2392 / 128
BRIGHTEST = 10000.0
# Constants of ARIB STD-B67 and the system gamma of ITU-R BT.2100 for a screen of 1000 cd/m2.
HLG_A, HLG_B, HLG_C = 0.17883277, 0.28466892, 0.55991073
SYSTEM_GAMMA = 1.2
LUMA = (0.2627, 0.6780, 0.0593)
# From BT.2020 to BT.709 primaries, ITU-R BT.2087.
PRIMARIES = (
    (1.6605, -0.5876, -0.0728),
    (-0.1246, 1.1329, -0.0083),
    (-0.0182, -0.1006, 1.1187),
)
GAMMA = 1 / 2.4


@cache
def table(curve: int) -> ImageFilter.Color3DLUT:
    """Give the table from YCbCr to RGB for the transfer curve ``curve`` of :data:`CURVES`."""
    light = [_pq_light(i / 255) if curve == PQ else _hlg_light(i / 255) for i in range(256)]
    values: list[float] = []
    for cr in _points(COLOURS):
        for cb in _points(COLOURS):
            for y in _points(GREYS):
                # As Pillow turns YCbCr back (JFIF).
                signals = (y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb)
                red, green, blue = (light[max(0, min(255, round(s * 255)))] for s in signals)
                gain = 1.0
                if curve == HLG:
                    luma = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
                    gain = PEAK * luma ** (SYSTEM_GAMMA - 1) if luma > 0 else 0.0
                gain *= _dim(max(red, green, blue) * gain)
                for r, g, b in PRIMARIES:
                    shown = gain * (r * red + g * green + b * blue)
                    values.append(min(1.0, max(0.0, shown)) ** GAMMA)
    return ImageFilter.Color3DLUT((GREYS, COLOURS, COLOURS), values, target_mode="RGB")


def mapped(image: Image.Image, curve: int) -> Image.Image:
    """Show ``image``, whose values are signals of ``curve``, on an ordinary screen."""
    return image.convert("YCbCr").filter(table(curve))


def _points(count: int) -> list[float]:
    """Give the values of a grid: 0 to 1, for colours around 0."""
    middle = 0.0 if count == GREYS else 128 / 255
    return [i / (count - 1) - middle for i in range(count)]


def _pq_light(signal: float) -> float:
    """Turn a PQ signal into cd/m2."""
    power = signal ** (1 / M2)
    return float(BRIGHTEST * (max(power - C1, 0.0) / (C2 - C3 * power)) ** (1 / M1))


def _pq_signal(light: float) -> float:
    power = (light / BRIGHTEST) ** M1
    return float(((C1 + C2 * power) / (1 + C3 * power)) ** M2)


def _hlg_light(signal: float) -> float:
    """Turn an HLG signal into the light of the scene, 0 to 1."""
    if signal <= 0.5:  # noqa: PLR2004
        return signal * signal / 3
    return float((2.718281828459045 ** ((signal - HLG_C) / HLG_A) + HLG_B) / 12)


def _dim(light: float) -> float:
    """Give the factor from cd/m2 to parts of white, rolling off what is brighter.

    The curve of ITU-R BT.2390 (EETF) from :data:`PEAK` to :data:`WHITE`: straight up to a knee,
    then a Hermite spline, both in PQ signals.
    """
    if light <= 0:
        return 0.0
    top = _pq_signal(PEAK)
    most = _pq_signal(WHITE) / top
    signal = min(1.0, _pq_signal(light) / top)
    knee = 1.5 * most - 0.5
    if signal > knee:
        t = (signal - knee) / (1 - knee)
        signal = (
            (2 * t**3 - 3 * t**2 + 1) * knee
            + (t**3 - 2 * t**2 + t) * (1 - knee)
            + (3 * t**2 - 2 * t**3) * most
        )
    return _pq_light(signal * top) / WHITE / light
