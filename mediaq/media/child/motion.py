"""Motion over time: what changes in the picture, what the camera does, where all is still."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mediaq.media.child.glance import Compass, Glance, overlap

if TYPE_CHECKING:
    from mediaq.media.child.glance import Plane

# Mean difference of a block in grey values above which it is said to move; noise stays below.
MOVING = 3.0
BLOCK = 4
# Of a picture in which less than this part moves, nothing moves.
STILL_SHARE = 0.01
# Once the camera's move is taken back, less than this part of what moved is blur at edges.
OBJECTS_SHARE = 0.15
# Camera: how sure the shift must be, how far in picture widths a second, and how much better the
# pictures must fit once it is taken back.
SURE = 0.12
SLOWEST = 0.01
FITS = 0.8
# A block of which this part of the difference is left moves by itself.
UNEXPLAINED = 0.5
SHORTEST_WAY = 0.3
EARLY = 3
# Pictures that differ no more than this anywhere are the same picture, from this length on.
FROZEN = 1.5
FROZEN_SECONDS = 2.0
MOST_FREEZES = 500
POINTS = 600
FIRST_WIDTH = 0.1
# Between frames further apart nothing is said of how things moved.
APART_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Moved:
    """What happened between two glances, shares of the picture's area and widths a second."""

    moving: float
    camera: float
    objects: float


class Line:
    """A curve over a length nobody knows beforehand: at most ``POINTS`` means over equal times."""

    def __init__(self) -> None:
        self.width = FIRST_WIDTH
        self.sums = np.zeros((POINTS, 4))
        self._used = 0

    def add(self, seconds: float, lasting: float, values: tuple[float, float, float]) -> None:
        """Add what was seen in the ``lasting`` seconds before ``seconds``."""
        middle = seconds - lasting / 2
        while middle >= self.width * POINTS:
            pairs = self.sums.reshape(POINTS // 2, 2, 4).sum(axis=1)
            self.sums = np.concatenate([pairs, np.zeros_like(pairs)])
            self.width *= 2
        place = int(middle / self.width)
        self.sums[place] += np.array([*values, 1.0]) * lasting
        self._used = max(self._used, place)

    def points(self) -> list[list[float]]:
        """Give [seconds, value, value, value] of each stretch that has any."""
        return [
            [round(place * self.width, 2), *(round(float(v / row[3]), 4) for v in row[:3])]
            for place, row in enumerate(self.sums)
            if row[3] > 0
        ]


class MotionMeter:
    """Takes glances about a tenth of a second apart and sums up what moves."""

    def __init__(self) -> None:
        self._before: Glance | None = None
        self._anchor: Glance | None = None
        self._early: deque[Glance] = deque(maxlen=EARLY)
        self._compasses = Compass(), Compass()
        self._line = Line()
        self._totals = dict.fromkeys(("seen", "still", "camera", "objects", "both"), 0.0)
        self._path = 0.0
        self._freezes: list[tuple[float, float]] = []

    def add(self, glance: Glance, *, cut: bool) -> None:
        """Take the next glance; across a cut nothing moves."""
        before, self._before = self._before, glance
        self._freeze(glance, cut=cut)
        if before is None or cut:
            self._early.clear()
            self._early.append(glance)
            return
        lasting = glance.seconds - before.seconds
        moved = self._between(before, glance, lasting)
        self._early.append(glance)
        self._line.add(glance.seconds, lasting, (moved.moving, moved.camera, moved.objects))
        self._totals["seen"] += lasting
        if moved.moving < STILL_SHARE:
            self._totals["still"] += lasting
        else:
            by_camera, by_objects = moved.camera > 0, moved.objects >= OBJECTS_SHARE * moved.moving
            kind = "both" if by_camera and by_objects else "camera" if by_camera else "objects"
            self._totals[kind] += lasting
        self._path += moved.camera * lasting

    def _between(self, before: Glance, now: Glance, lasting: float) -> Moved:
        moving = float((_blocks(np.abs(before.fine - now.fine), 2 * BLOCK) > MOVING).mean())
        if lasting <= APART_SECONDS:
            # A slow camera shows over a longer time, a fast one is out of sight by then.
            for place, early in enumerate((self._early[0], before)):
                camera = self._camera(self._compasses[place], early, now)
                if camera is not None and moving >= STILL_SHARE:
                    return Moved(moving, *camera)
        return Moved(moving, 0.0, moving)

    def _camera(self, compass: Compass, early: Glance, now: Glance) -> tuple[float, float] | None:
        """Give the camera's speed and what else moves, or None if it does not or cannot be told."""
        down, right, sure = compass.move(early, now)
        way = float(np.hypot(down, right))
        speed = way / now.colour.shape[-1] / (now.seconds - early.seconds)
        if sure < SURE or speed < SLOWEST or way < SHORTEST_WAY:
            return None
        left, plain = _differences(early.colour[0], now.colour[0], down, right)
        if float(left.mean()) > FITS * float(plain.mean()):
            return None
        rest, all_of_it = _blocks(left, BLOCK), _blocks(plain, BLOCK)
        return speed, float(((rest > MOVING) & (rest > UNEXPLAINED * all_of_it)).mean())

    def _freeze(self, glance: Glance, *, cut: bool) -> None:
        anchor = self._anchor
        if anchor is not None and not cut and _same(anchor, glance):
            if glance.seconds - anchor.seconds < FROZEN_SECONDS:
                return
            if self._freezes and self._freezes[-1][0] == anchor.seconds:
                self._freezes[-1] = (anchor.seconds, glance.seconds)
            elif len(self._freezes) < MOST_FREEZES:
                self._freezes.append((anchor.seconds, glance.seconds))
            return
        self._anchor = glance

    def summary(self) -> dict[str, Any]:
        """Give the fields of the ``motion_analysis`` result that were measured."""
        seen = self._totals["seen"]

        def share(kind: str) -> float | None:
            return round(self._totals[kind] / seen, 4) if seen else None

        points = self._line.points()
        sums = self._line.sums.sum(axis=0)
        return {
            "still_share": share("still"),
            "camera_share": share("camera"),
            "object_share": share("objects"),
            "mixed_share": share("both"),
            "mean_moving_area": round(float(sums[0] / sums[3]), 4) if seen else None,
            "camera_path": round(self._path, 2),
            "freezes": [
                {"start_seconds": round(start, 3), "end_seconds": round(end, 3)}
                for start, end in self._freezes
            ],
            "interval_seconds": round(self._line.width, 3),
            "points": points,
        }


def _same(a: Glance, b: Glance) -> bool:
    """Tell whether two frames show the same picture, the coding apart."""
    return float(_blocks(np.abs(a.fine - b.fine), 2 * BLOCK).max()) < FROZEN


def _blocks(plane: Plane, block: int) -> Plane:
    high, wide = plane.shape
    rows = np.add.reduceat(plane, np.arange(0, high - block + 1, block), axis=0)
    sums = np.add.reduceat(rows, np.arange(0, wide - block + 1, block), axis=1)
    shares: Plane = (sums / (block * block)).astype(np.float32)
    return shares


def _differences(a: Plane, b: Plane, down: float, right: float) -> tuple[Plane, Plane]:
    """Give how ``b`` differs from ``a`` moved, by parts of pixels too, and from ``a`` as it is.

    Both planes show only what is to be seen in both pictures.
    """
    whole = (int(np.floor(down)), int(np.floor(right)))
    part_down, part_right = down - whole[0], right - whole[1]
    rows = a.copy()
    rows[1:] = a[1:] * (1 - part_down) + a[:-1] * part_down
    moved = rows.copy()
    moved[:, 1:] = rows[:, 1:] * (1 - part_right) + rows[:, :-1] * part_right
    one, other = overlap(moved, b, whole)
    _, plain = overlap(a, np.abs(a - b), whole)
    # The first row and column are not moved: nothing lay before them.
    return np.abs(one - other)[1:, 1:], plain[1:, 1:]
