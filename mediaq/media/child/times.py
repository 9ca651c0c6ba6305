"""Which moments of a video to show: pure arithmetic on seconds and time stamps."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from mediaq.media.child.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_FRAMES = 1000


def even_times(duration: float, count: int) -> list[float]:
    """Give the centres of ``count`` equal parts."""
    return [(i + 0.5) * duration / count for i in range(count)]


def spaced_times(duration: float, interval: float, most: int = MAX_FRAMES) -> list[float]:
    """Give 0, ``interval``, 2 x ``interval``...; the middle when that would be one frame only."""
    count = math.ceil(duration / interval - 1e-9)
    if count > most:
        smallest = math.ceil(duration / most * 100) / 100
        msg = (
            f"one frame every {interval:g} s would be {count} frames, {most} is the limit;"
            f" the smallest interval_seconds that works here is {smallest:g}"
        )
        raise Refusal(msg)
    if count <= 1:
        return [duration / 2]
    return [i * interval for i in range(count)]


def nearest(sorted_values: Sequence[float], wanted: float) -> int:
    """Give the position of the value closest to ``wanted``; the earlier one of two."""
    after = bisect_left(sorted_values, wanted)
    if after == 0:
        return 0
    if after == len(sorted_values):
        return after - 1
    closer_before = wanted - sorted_values[after - 1] <= sorted_values[after] - wanted
    return after - 1 if closer_before else after


def distinct(shown: Sequence[float], wanted: Sequence[float]) -> list[int]:
    """For each wanted time the frame on screen then, moved so that none comes twice.

    Both lists are sorted and ``shown`` has at least as many values; positions in it come back.
    """
    picks = [max(0, bisect_right(shown, w + 1e-9) - 1) for w in wanted]
    for i in range(1, len(picks)):
        picks[i] = max(picks[i], picks[i - 1] + 1)
    room = len(shown)
    for i in reversed(range(len(picks))):
        room -= 1
        picks[i] = min(picks[i], room)
        room = picks[i]
    return picks


def prefer_keyframes(
    picks: Sequence[int],
    shown: Sequence[float],
    keys: Sequence[int],
    wanted: Sequence[float],
    reach: float,
) -> list[int]:
    """Move picks to the nearest keyframe within ``reach`` seconds, keeping order and distinctness.

    ``keys`` are the positions in ``shown`` that are keyframes.
    """
    moved = list(picks)
    times = [shown[k] for k in keys]
    for i, when in enumerate(wanted):
        if not times:
            break
        key = keys[nearest(times, when)]
        before = moved[i - 1] if i else -1
        after = moved[i + 1] if i + 1 < len(moved) else len(shown)
        if abs(shown[key] - when) <= reach and before < key < after:
            moved[i] = key
    return moved
