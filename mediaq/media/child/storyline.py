"""From cuts and transitions, as they are found, to scenes that follow one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from mediaq.media.child.blends import Blend

# What is shorter belongs to the scene before; only the last scene may be shorter.
SHORTEST_SECONDS = 0.5
# Black between two fades that is shorter than this is part of the transition and no scene.
BLACK_SECONDS = 2.0
MOST = 10_000


@dataclass(frozen=True, slots=True)
class Change:
    """Where one scene ends and the next begins; a transition that takes time has an extent."""

    seconds: float
    kind: str
    start: float
    end: float
    strength: float


class Storyline:
    """Takes changes in order of time; ``ended`` hears of each scene: its number, start and end."""

    def __init__(self, ended: Callable[[int, float, float], None]) -> None:
        self._ended = ended
        self._start = 0.0
        self._begun_by = "start"
        self._faded: Blend | None = None
        self.scenes: list[dict[str, Any]] = []
        self.changes: list[Change] = []
        self.count = 0
        self.counts = {"cut": 0, "dissolve": 0, "fade": 0}

    def cut(self, seconds: float, strength: float) -> None:
        """Take a hard cut; one out of black ends the fade before it."""
        faded = self._take_fade(seconds)
        if faded is not None:
            self._change(Change(seconds, "fade", faded.start, seconds, faded.strength))
        else:
            self._change(Change(seconds, "cut", seconds, seconds, strength))

    def blend(self, blend: Blend) -> None:
        """Take a gradual transition."""
        faded = self._take_fade(blend.start)
        if blend.kind == "fade_out":
            self._faded = blend
        elif faded is not None:
            middle = (faded.end + blend.start) / 2
            self._change(Change(middle, "fade", faded.start, blend.end, faded.strength))
        elif blend.kind == "fade_in":
            # A scene that only begins to be seen begins where the black began.
            if blend.start - self._start > BLACK_SECONDS:
                self._change(Change(blend.start, "fade", blend.start, blend.end, blend.strength))
        else:
            middle = (blend.start + blend.end) / 2
            self._change(Change(middle, "dissolve", blend.start, blend.end, blend.strength))

    def end(self, seconds: float) -> None:
        """Take the end of the film."""
        self._take_fade(seconds)
        self._close(seconds)

    def _take_fade(self, now: float) -> Blend | None:
        """Give the fade to black that goes on until ``now``; long black is a scene of its own."""
        faded, self._faded = self._faded, None
        if faded is not None and now - faded.end > BLACK_SECONDS:
            self._change(Change(faded.end, "fade", faded.start, faded.end, faded.strength))
            return None
        return faded

    def _change(self, change: Change) -> None:
        if change.seconds - self._start < SHORTEST_SECONDS:
            return
        self._close(change.seconds)
        self._start, self._begun_by = change.seconds, change.kind
        self.counts[change.kind] += 1
        if len(self.changes) < MOST:
            self.changes.append(change)

    def _close(self, end: float) -> None:
        self.count += 1
        if len(self.scenes) < MOST:
            self.scenes.append(
                {
                    "number": self.count,
                    "start_seconds": round(self._start, 3),
                    "end_seconds": round(end, 3),
                    "begun_by": self._begun_by,
                }
            )
        self._ended(self.count, self._start, end)
