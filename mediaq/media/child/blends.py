"""Gradual transitions: one picture turning into another that has nothing to do with it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mediaq.media.child.glance import difference, unlike

if TYPE_CHECKING:
    from mediaq.media.child.glance import Glance

# Lengths looked at, in glances that are a tenth of a second or more apart.
SPANS = (3, 4, 6, 8, 11, 15, 20, 26)
LONGEST_SECONDS = 5.0
# What must differ between the ends: grey values, structure, and that nearly everywhere.
DIFFERENCE = 8.0
STRUCTURE = 0.5
EVERYWHERE = 0.55
BLOCK_DIFFERENCE = 5.0
# How far what lies between may be from a blend of the ends, as a part of their difference.
BESIDE = 0.22
# How far from even the blending may be.
UNEVEN = 0.3
# With this part of the contrast of the other end, one end is empty.
FAINT = 0.25
# Of spans that overlap the shortest is taken that has this part of the largest difference.
NEARLY_ALL = 0.93


@dataclass(frozen=True, slots=True)
class Blend:
    """A gradual transition."""

    start: float
    end: float
    kind: Literal["dissolve", "fade_out", "fade_in"]
    strength: float


class BlendFinder:
    """Takes glances about a tenth of a second apart and gives transitions once they are over."""

    def __init__(self) -> None:
        self._seen: deque[Glance] = deque(maxlen=SPANS[-1] + 1)
        self._open: list[Blend] = []

    def cut(self) -> list[Blend]:
        """Forget what lies before a hard cut, for no transition goes across; give what was over."""
        self._seen.clear()
        return self._close()

    def add(self, glance: Glance) -> list[Blend]:
        """Take the next glance; give what is over."""
        self._seen.append(glance)
        best: Blend | None = None
        for span in SPANS:
            if len(self._seen) > span:
                blend = self._between(len(self._seen) - 1 - span, len(self._seen) - 1)
                if blend is not None and (best is None or blend.strength > best.strength):
                    best = blend
        if best is not None and (not self._open or best.start < self._latest):
            self._open.append(best)
            return []
        if best is None and self._open and self._seen[0].seconds < self._latest:
            return []
        done = self._close()
        if best is not None:
            self._open = [best]
        return done

    def end(self) -> list[Blend]:
        """Give what was still going on."""
        return self._close()

    @property
    def _latest(self) -> float:
        return max(blend.end for blend in self._open)

    def _close(self) -> list[Blend]:
        if not self._open:
            return []
        most = max(blend.strength for blend in self._open)
        enough = [blend for blend in self._open if blend.strength >= NEARLY_ALL * most]
        self._open = []
        return [min(enough, key=lambda blend: blend.end - blend.start)]

    def _between(self, first: int, last: int) -> Blend | None:
        start, end = self._seen[first], self._seen[last]
        if end.seconds - start.seconds > LONGEST_SECONDS or (start.blank and end.blank):
            return None
        strength = difference(start, end)
        if strength < DIFFERENCE or unlike(start, end) < STRUCTURE:
            return None
        whole = end.colour - start.colour
        if (np.abs(whole).max(axis=0) > BLOCK_DIFFERENCE).mean() < EVERYWHERE:
            return None
        scale = float((whole * whole).sum())
        beside = 0.0
        for i in range(first + 1, last):
            part = self._seen[i].colour - start.colour
            share = float((part * whole).sum()) / scale
            if abs(share - (i - first) / (last - first)) > UNEVEN:
                return None
            beside += float(np.abs(part - share * whole).mean())
        if beside / (last - first - 1) > BESIDE * strength:
            return None
        kind: Literal["dissolve", "fade_out", "fade_in"] = "dissolve"
        if end.contrast < FAINT * start.contrast:
            kind = "fade_out"
        elif start.contrast < FAINT * end.contrast:
            kind = "fade_in"
        return Blend(start.seconds, end.seconds, kind, strength)
