"""Films whose cuts are known, drawn in code: shots of made-up places, joined as editors do."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]

SIZE = (320, 180)
# How far a place reaches beyond the picture.
REACH = 2.5


@dataclass(frozen=True)
class Shot:
    """A place (its number), how long it is shown and what happens there.

    ``pan`` and ``tilt`` are picture widths a second, ``zoom`` is growth a second, ``walkers`` is
    how many things walk through, ``flashes`` are seconds at which a flash goes off, ``light``
    is 1 by day and 0.15 in the dark, ``shake`` is how many pixels the hand trembles.
    """

    place: int
    seconds: float = 2.0
    pan: float = 0.0
    tilt: float = 0.0
    zoom: float = 0.0
    walkers: int = 0
    flashes: tuple[float, ...] = ()
    flash_seconds: float = 0.09
    light: float = 1.0
    brightening: float = 0.0
    shake: float = 0.0


@dataclass(frozen=True)
class Join:
    """How a shot goes over into the next one; a cut takes no time."""

    kind: str = "cut"
    seconds: float = 0.0


@dataclass(frozen=True)
class Known:
    """A change that is in the film."""

    kind: str
    start: float
    end: float


CUT = Join()


@dataclass(frozen=True)
class Edit:
    """Shots and the joins between them; one join stands for all when it is the only one."""

    shots: Sequence[Shot]
    joins: Sequence[Join] = (CUT,)
    rate: int = 25
    size: tuple[int, int] = SIZE
    grain: float = 2.0

    def join(self, place: int) -> Join:
        """Give the join after a shot."""
        return self.joins[place] if len(self.joins) > 1 else self.joins[0]

    def known(self) -> list[Known]:
        """Give all changes with their extent in seconds."""
        found, now = [], 0.0
        for place, shot in enumerate(self.shots[:-1]):
            now += shot.seconds
            join = self.join(place)
            half = join.seconds / 2
            # A change is seen with the first frame that shows it.
            start, end = (
                math.ceil(round((now + part) * self.rate, 6)) / self.rate for part in (-half, half)
            )
            found.append(Known(join.kind, start, end))
        return found

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Draw the film; transitions lie half in each of the shots."""
        starts = np.cumsum([0.0, *(shot.seconds for shot in self.shots)])
        dice = np.random.default_rng(7)
        shots = list(enumerate(self.shots))
        for number in range(round(float(starts[-1]) * self.rate)):
            now = number / self.rate
            place = max(i for i, _ in shots if starts[i] <= now + 1e-9)
            picture = draw(self.shots[place], now - starts[place], self.size)
            for beside, edge in ((place - 1, starts[place]), (place + 1, starts[place + 1])):
                if not 0 <= beside < len(self.shots):
                    continue
                join = self.join(min(place, beside))
                gone = abs(now - edge) / join.seconds if join.seconds else 1.0
                if gone < 0.5:
                    other = draw(self.shots[beside], now - starts[beside], self.size)
                    picture = _joined(join.kind, picture, other, gone)
            noisy = picture + dice.normal(0, self.grain, picture.shape[:2])[..., None]
            yield np.clip(noisy, 0, 255).astype(np.uint8)


def _joined(kind: str, picture: Picture, other: Picture, gone: float) -> Picture:
    """Mix two pictures; ``gone`` is the distance from the middle of the transition, up to 0.5."""
    if kind == "fade":
        return picture * np.float32(2 * gone)
    return picture * np.float32(0.5 + gone) + other * np.float32(0.5 - gone)


@lru_cache(maxsize=64)
def scenery(number: int, size: tuple[int, int]) -> Picture:
    """Draw a place: rough surfaces of several colours, as large as the camera can turn."""
    dice = np.random.default_rng(number)
    wide, high = (round(side * REACH) for side in size)
    picture = np.empty((high, wide, 3), np.float32)
    rough = _cloud(dice, high, wide)
    ground = dice.uniform(40, 200, 3)
    for channel in range(3):
        own = rough + 0.5 * _cloud(dice, high, wide)
        picture[..., channel] = ground[channel] + 45 * own
    for _ in range(26):
        x, y = dice.integers(0, wide), dice.integers(0, high)
        w, h = dice.integers(size[0] // 12, size[0] // 2), dice.integers(size[1] // 8, size[1])
        colour = dice.uniform(10, 245, 3).astype(np.float32)
        part = picture[y : y + h, x : x + w]
        picture[y : y + h, x : x + w] = 0.25 * part + 0.75 * colour
    return np.clip(picture, 0, 255)


def _cloud(dice: np.random.Generator, high: int, wide: int) -> Picture:
    """Give noise with the spectrum of natural pictures, 1/f."""
    spectrum = np.fft.rfft2(dice.normal(size=(high, wide)))
    far = np.hypot(np.fft.fftfreq(high)[:, None], np.fft.rfftfreq(wide)[None, :])
    spectrum /= np.maximum(far, 1 / wide)
    cloud = np.fft.irfft2(spectrum, s=(high, wide))
    return ((cloud - cloud.mean()) / cloud.std()).astype(np.float32)


def draw(shot: Shot, now: float, size: tuple[int, int]) -> Picture:
    """Draw a shot as it is after ``now`` seconds, which may lie outside of it."""
    wide, high = size
    place = scenery(shot.place, size)
    tremble = np.random.default_rng(round(now * 1000) + 5000)
    x = (0.1 + shot.pan * now) * wide + shot.shake * tremble.normal()
    y = (0.1 + shot.tilt * now) * high + shot.shake * tremble.normal()
    grown = 1 + shot.zoom * now
    columns = (x + np.arange(wide) / grown) % (place.shape[1] - 1)
    rows = (y + np.arange(high) / grown) % (place.shape[0] - 1)
    picture = place[rows.astype(int)][:, columns.astype(int)].copy()
    for walker in range(shot.walkers):
        at = ((walker + 1) * 0.37 + now * (0.3 + 0.17 * walker)) % 1.3 - 0.15
        left, top = int(at * wide), int(high * (0.2 + 0.13 * walker))
        part = picture[top : top + high // 2, max(0, left) : max(0, left + wide // 9)]
        part[:] = (30 + 60 * walker, 90, 220 - 50 * walker)
    picture *= shot.light * (1 + shot.brightening * now)
    if any(flash <= now < flash + shot.flash_seconds for flash in shot.flashes):
        picture = picture * 0.3 + 190
    return np.clip(picture, 0, 255)


def encode(path: Path, edit: Edit, *, codec: str = "libx264", gop: int = 250, **given: str) -> Path:
    """Write the film; keyframes stand where the encoder puts them by itself, or evenly."""
    options = {"preset": "veryfast", "crf": "23"} | given if codec == "libx264" else given
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=edit.rate, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = edit.size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = gop
        for number, picture in enumerate(edit.frames()):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, edit.rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def films() -> dict[str, Edit]:
    """Give one film for each thing that is hard to tell from a cut, and for each kind of cut."""
    dice = np.random.default_rng(3)
    lengths = [round(float(dice.uniform(0.8, 3.0)), 2) for _ in range(16)]
    lively = [
        Shot(
            100 + i,
            seconds,
            pan=(0, 0.15, 0, -0.3)[i % 4],
            zoom=(0, 0, 0.08)[i % 3],
            walkers=(0, 2, 1)[i % 3],
            shake=(0, 1.0)[i % 2],
        )
        for i, seconds in enumerate(lengths)
    ]
    dark = [Shot(130 + i, 1.6, light=0.16, walkers=i % 2) for i in range(8)]
    return {
        "hard cuts": Edit(lively),
        "cuts in the dark": Edit(dark),
        "cuts at 60 fps": Edit(lively[:6], rate=60),
        "cuts at 10 fps": Edit(lively[:10], rate=10),
        "dissolves of 1 s": Edit([Shot(200 + i, 3.0) for i in range(7)], [Join("dissolve", 1.0)]),
        "dissolves, moving": Edit(
            [Shot(210 + i, 3.0, pan=0.06 * (i % 3), walkers=i % 2) for i in range(7)],
            [Join("dissolve", 0.8)],
        ),
        "fades": Edit([Shot(220 + i, 3.0) for i in range(6)], [Join("fade", 1.2)]),
        "flashes": Edit([Shot(230, 12.0, flashes=(1.5, 3.1, 3.4, 6.0, 9.2), walkers=1)]),
        "strobe": Edit([Shot(231, 6.0, flashes=tuple(1 + i * 0.25 for i in range(12)))]),
        "pans and whip pans": Edit(
            [Shot(240, 3.0, pan=0.3), Shot(241, 3.0, pan=-1.2), Shot(242, 3.0, pan=0.9, tilt=0.5)],
        ),
        "shaking camera": Edit([Shot(250, 8.0, shake=4.0, walkers=2)]),
        "zoom": Edit([Shot(251, 8.0, zoom=0.25)]),
        "light goes up": Edit([Shot(252, 6.0, light=0.3, brightening=0.4)]),
        "walkers": Edit([Shot(253, 10.0, walkers=4)]),
        "nothing moves": Edit([Shot(254, 10.0)], grain=0.0),
    }
