"""Hard cuts: where a frame has little to do with the one before, and nothing there moves so."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mediaq.media.child.glance import Compass, difference, unlike

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mediaq.media.child.glance import Glance

# Mean difference of two frames, 0 to 255, below which there is no cut, and how much of their
# structure must differ; where nearly all of it does, as in the dark, less difference is enough.
DIFFERENCE = 5.0
DARK_DIFFERENCE = 2.0
STRUCTURE = 0.08
OTHER_STRUCTURE = 0.6
# How often the change (difference x structure) must be that of the frames around, on average and
# at the most. Calibrated on films: cuts have 10 and 4 or more, the fastest motion 5 and 2.5.
TIMES_USUAL = 3.5
TIMES_LARGEST = 3.0
AROUND = 4
# Change that is always there: coding noise.
NOISE = 0.3
# Frames further apart than this say nothing of what is usual, but can be compared by themselves.
APART_SECONDS = 0.3
APART_DIFFERENCE = 8.0
# A picture that comes back within this time was interrupted by a flash.
FLASH_SECONDS = 0.4
FLASH_FRAMES = 12
SAME = 0.35


@dataclass(frozen=True, slots=True)
class Look:
    """A frame beside the one before it."""

    glance: Glance
    difference: float
    structure: float

    @property
    def change(self) -> float:
        """How much is new, in one number."""
        return self.difference * self.structure


class CutFinder:
    """Takes glances in order and gives each back a moment later, with its difference if a cut."""

    def __init__(self) -> None:
        self._seen: deque[Look] = deque()
        self._place = 0
        self._compass = Compass()

    def add(self, glance: Glance) -> Iterator[tuple[Glance, float | None]]:
        """Take the next frame; give those about which all is known."""
        before = self._seen[-1].glance if self._seen else glance
        self._seen.append(Look(glance, difference(before, glance), unlike(before, glance)))
        return self._settled(FLASH_FRAMES)

    def end(self) -> Iterator[tuple[Glance, float | None]]:
        """Give the last frames."""
        return self._settled(0)

    def _settled(self, ahead: int) -> Iterator[tuple[Glance, float | None]]:
        while self._place < len(self._seen) - ahead:
            look = self._seen[self._place]
            yield look.glance, look.difference if self._is_cut(self._place) else None
            self._place += 1
            if self._place > FLASH_FRAMES:
                self._seen.popleft()
                self._place -= 1

    def _is_cut(self, place: int) -> bool:
        now = self._seen[place]
        if place == 0 or now.difference < DARK_DIFFERENCE or now.structure < STRUCTURE:
            return False
        other = now.structure >= OTHER_STRUCTURE
        if now.glance.seconds - self._seen[place - 1].glance.seconds > APART_SECONDS:
            enough = other and now.difference >= APART_DIFFERENCE
        else:
            enough = (other or now.difference >= DIFFERENCE) and (
                self._stands_out(place) or self._is_torn(place)
            )
        return enough and not self._comes_back(place) and not self._moved(place)

    def _stands_out(self, place: int) -> bool:
        """Tell whether there is far more change here than in the frames around."""
        now = self._seen[place]
        around = [self._seen[i].change for i in self._around(place)]
        usual, largest = sum(around) / max(1, len(around)), max(around, default=0.0)
        return now.change > max(TIMES_USUAL * (usual + NOISE), TIMES_LARGEST * largest)

    def _is_torn(self, place: int) -> bool:
        """Tell a cut amid fast motion: moving pictures explains the changes around, not this."""
        now = self._seen[place]
        if now.structure < OTHER_STRUCTURE or now.difference < APART_DIFFERENCE:
            return False
        around = (self._unexplained(i) for i in self._around(place))
        return self._unexplained(place) > TIMES_LARGEST * max(around, default=NOISE)

    def _around(self, place: int) -> list[int]:
        first, last = max(1, place - AROUND), min(len(self._seen) - 1, place + AROUND)
        return [i for i in range(first, last + 1) if i != place]

    def _unexplained(self, place: int) -> float:
        """Give the difference that is left when the move of the camera is taken back."""
        before, now = self._seen[place - 1].glance, self._seen[place].glance
        down, right, _ = self._compass.move(before, now)
        return min(
            self._seen[place].difference, difference(before, now, (round(down), round(right)))
        )

    def _comes_back(self, place: int) -> bool:
        """Tell a flash: soon after the picture is as before, or soon before it was as after."""
        before, now = self._seen[place - 1].glance, self._seen[place].glance
        alike = SAME * self._seen[place].difference
        looks = list(self._seen)
        return any(
            look.glance.seconds - now.seconds < FLASH_SECONDS
            and difference(before, look.glance) < alike
            for look in looks[place + 1 :]
        ) or any(
            before.seconds - look.glance.seconds < FLASH_SECONDS
            and difference(look.glance, now) < alike
            for look in looks[: place - 1]
        )

    def _moved(self, place: int) -> bool:
        """Tell a jerk of the camera: moved back, the picture is the same."""
        return self._unexplained(place) < SAME * self._seen[place].difference
