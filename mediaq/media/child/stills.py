"""A picture of each scene, chosen from what was seen on the way through the film."""

from __future__ import annotations

import gc
import heapq
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mediaq.media.child.orientation import displayed_size, upright
from mediaq.media.child.picture import SUFFIXES, picture, save

if TYPE_CHECKING:
    from pathlib import Path

    from av.video.frame import VideoFrame

    from mediaq.media.child.film import Film
    from mediaq.media.child.glance import Glance

# A picture is put aside this often; scenes are longer.
EVERY_SECONDS = 0.45
# So many pictures of a scene that goes on are kept, and all of the last seconds: where a scene ends
# is known a little later.
KEPT = 24
RECENT_SECONDS = 7.0
MOST = 100
LONG_SIDE = 480
FLATTEST = 12.0
# The part of a scene at either end that is taken only for want of better.
MARGIN = 0.12


@dataclass(frozen=True, slots=True)
class Still:
    """A picture put aside."""

    seconds: float
    packed: bytes
    width: int
    height: int
    contrast: float


class Album:
    """Keeps pictures of scenes on disk below ``into``: of the ``MOST`` longest scenes."""

    def __init__(self, film: Film, into: Path, kind: str) -> None:
        # What is there for good need not be looked through each time.
        gc.freeze()
        self._film = film
        self._into = into
        self._kind = kind
        self._aside: list[Still] = []
        self._kept: list[tuple[float, int]] = []
        self.pictures: dict[int, dict[str, object]] = {}

    def offer(self, frame: VideoFrame, glance: Glance) -> None:
        """Put a frame aside if it is time for one."""
        if self._aside and glance.seconds - self._aside[-1].seconds < EVERY_SECONDS:
            return
        way = upright(frame)
        wide, high = displayed_size(
            frame.width, frame.height, self._film.stream.sample_aspect_ratio, way.degrees
        )
        scale = min(1.0, LONG_SIDE / max(wide, high))
        size = (max(2, round(wide * scale)), max(2, round(high * scale)))
        packed = io.BytesIO()
        save(picture(frame, *size), packed, self._kind)
        # A PyAV frame and its planes hold each other, and Python would look for that too seldom.
        gc.collect()
        self._aside.append(Still(glance.seconds, packed.getvalue(), *size, glance.contrast))
        if len(self._aside) > 2 * KEPT:
            self._thin_out()

    def _thin_out(self) -> None:
        now, gap = self._aside[-1].seconds, self._aside[-1].seconds - self._aside[0].seconds
        kept = self._aside[:1]
        for still in self._aside[1:]:
            apart = still.seconds - kept[-1].seconds
            if apart >= gap / KEPT or still.seconds > now - RECENT_SECONDS:
                kept.append(still)
        self._aside = kept

    def keep(self, number: int, start: float, end: float) -> None:
        """Choose the picture of the scene ``number`` and forget what lies before its end."""
        length = end - start
        inside = [still for still in self._aside if start <= still.seconds < end]
        self._aside = [still for still in self._aside if still.seconds >= end]
        if not inside:
            return
        if len(self._kept) >= MOST:
            if self._kept[0][0] >= length:
                return
            _, dropped = heapq.heappop(self._kept)
            (self._into / str(self.pictures.pop(dropped)["name"])).unlink()
        heapq.heappush(self._kept, (length, number))

        def rank(still: Still) -> tuple[bool, float]:
            place = (still.seconds - start) / length
            flat = still.contrast < FLATTEST or not MARGIN <= place <= 1 - MARGIN
            # Something to see near the middle goes before much to see near an end.
            return not flat, still.contrast * (0.1 if flat else 1 - abs(place - 0.5))

        best = max(inside, key=rank)
        name = f"scene-{number:05}.{SUFFIXES[self._kind]}"
        (self._into / name).write_bytes(best.packed)
        self.pictures[number] = {
            "name": name,
            "seconds": round(best.seconds, 3),
            "width": best.width,
            "height": best.height,
        }
