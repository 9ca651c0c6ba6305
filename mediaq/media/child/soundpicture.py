"""Pictures of a sound: its waveform and its spectrogram, with scales to read them by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from mediaq.media.child.lettering import clean, font, font_for, shorten, spell

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mediaq.media.child.spectrum import Spectrum

WIDTH, HEIGHT = 1280, 320
LEFT, TOP, RIGHT, BOTTOM = 56, 34, 16, 28
PAPER, INK, GRID, FAINT = "#0f1117", "#c9d1d9", "#2a2f3a", "#8b949e"
PEAK, BODY = "#2f6f9f", "#7cc4f2"
RANGE_DB = 84.0
# From silence to loud; even steps of the eye, dark blue over violet and orange to cream.
HEAT = ("#0f1117", "#1d1147", "#51127c", "#b63679", "#fb8861", "#fcfdbf")
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400)
MOST_TICKS = 10
HERTZ = (50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
LETTERS = 13
MINUTE = 60


def draw_waveform(
    path: Path, outline: NDArray[np.float32], title: str, length: float
) -> dict[str, Any]:
    """Draw rows of (lowest, highest, mean power): peaks in a dark tone, their mean in a light one.

    The scale is linear, from -1 to 1 of full scale.
    """
    picture, draw = _sheet(title, "waveform")
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    middle = TOP + high / 2
    for level in (-1, -0.5, 0, 0.5, 1):
        y = middle - level * high / 2
        draw.line((LEFT, y, WIDTH - RIGHT, y), fill=GRID)
        draw.text((LEFT - 8, y), f"{level:g}", FAINT, font(LETTERS), anchor="rm")
    _times(draw, length)
    for x, (begin, end) in enumerate(_even(len(outline), wide)):
        low, top = float(outline[begin:end, 0].min()), float(outline[begin:end, 1].max())
        mean = float(np.sqrt(outline[begin:end, 2].mean()))
        for a, b, colour in ((low, top, PEAK), (max(-mean, low), min(mean, top), BODY)):
            ends = [middle - min(1.0, max(-1.0, level)) * high / 2 for level in (a, b)]
            draw.line((LEFT + x, ends[0], LEFT + x, ends[1]), fill=colour)
    return _save(picture, path)


def draw_spectrogram(path: Path, spectrum: Spectrum, title: str, length: float) -> dict[str, Any]:
    """Draw power over time and frequency: 84 dB below the loudest are told apart."""
    picture, draw = _sheet(title, "spectrogram")
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    rows = spectrum.columns.rows()
    slices = _even(len(rows), min(wide, len(rows)))
    power = np.stack([rows[a:b].mean(axis=0) for a, b in slices], axis=1)
    level = 10 * np.log10(np.maximum(power, 1e-12))
    # Digital silence has no loudest place to be measured from.
    loudest = max(float(level.max()), -20.0)
    shade = np.clip(1 + (level - loudest) / RANGE_DB, 0, 1)
    field = Image.fromarray(_heat(shade[::-1])).resize((wide, high), Image.Resampling.BILINEAR)
    picture.paste(field, (LEFT, TOP))
    lowest, highest = float(spectrum.edges[0]), float(spectrum.edges[-1])
    for hertz in HERTZ:
        if not lowest < hertz < highest:
            continue
        y = TOP + high * (1 - np.log(hertz / lowest) / np.log(highest / lowest))
        draw.line((LEFT - 4, y, LEFT, y), fill=FAINT)
        label = f"{hertz // 1000} kHz" if hertz >= 1000 else f"{hertz} Hz"  # noqa: PLR2004
        draw.text((LEFT - 8, y), label, FAINT, font(LETTERS), anchor="rm")
    _times(draw, length)
    return _save(picture, path)


def _sheet(title: str, what: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((WIDTH - RIGHT, TOP / 2), what, FAINT, font(LETTERS), anchor="rm")
    name = clean(title)
    letters = font_for(name, 15)
    shown = shorten(spell(name, letters), letters, WIDTH - LEFT - RIGHT - 140)
    draw.text((LEFT, TOP / 2), shown, INK, letters, anchor="lm")
    return picture, draw


def _times(draw: ImageDraw.ImageDraw, length: float) -> None:
    wide, floor = WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM
    step = next((tick for tick in TICKS if length / tick <= MOST_TICKS), length)
    for number in range(int(length / step) + 1 if length else 0):
        x = LEFT + wide * number * step / length
        draw.line((x, floor, x, floor + 4), fill=FAINT)
        at = min(max(x, LEFT), WIDTH - RIGHT - 16)
        draw.text((at, floor + 8), _clock(number * step, step), FAINT, font(LETTERS), anchor="mt")


def _clock(seconds: float, step: float) -> str:
    if step < 1:
        return f"{seconds:.1f} s"
    minutes, second = divmod(round(seconds), MINUTE)
    hours, minute = divmod(minutes, MINUTE)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _even(count: int, wide: int) -> list[tuple[int, int]]:
    """Cut ``count`` rows into ``wide`` slices of at least one each."""
    cuts = [(x * count // wide, (x + 1) * count // wide) for x in range(wide)]
    return [(begin, max(end, begin + 1)) for begin, end in cuts]


def _heat(shade: NDArray[np.float64]) -> NDArray[np.uint8]:
    stops = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in HEAT], float)
    place = shade * (len(stops) - 1)
    lower = np.minimum(place.astype(int), len(stops) - 2)
    part = (place - lower)[..., None]
    return np.asarray(stops[lower] * (1 - part) + stops[lower + 1] * part, np.uint8)


def _save(picture: Image.Image, path: Path) -> dict[str, Any]:
    picture.save(path, optimize=True)
    return {"path": str(path), "width": picture.width, "height": picture.height}
