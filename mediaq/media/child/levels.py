"""Silence, clipping and the outline of a sound, from its samples as they are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mediaq.media.child.columns import Columns
from mediaq.media.child.spans import Spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

SILENCE_DBFS = -50.0
SHORTEST_SILENCE = 0.5
# The largest step of 16 bits below full scale, and how many such samples in a row no microphone
# gives by itself.
FULL_SCALE = 32767 / 32768
CLIPPED_RUN = 3


class Levels:
    """Looks at windows of about 10 ms of all channels; ``step`` is their exact length."""

    def __init__(self, window: int, step: float) -> None:
        self._window = window
        self._quiet = 10 ** (SILENCE_DBFS / 20)
        self._silence = Spans(step, shortest=SHORTEST_SILENCE)
        self._clipped = self._events = 0
        self.outline = Columns(3, join=_join)

    def hear(self, samples: NDArray[np.float32]) -> None:
        """Take a block, one row for each channel."""
        missing = -samples.shape[1] % self._window
        padded = np.pad(samples, ((0, 0), (0, missing))) if missing else samples
        windows = padded.reshape(samples.shape[0], -1, self._window)
        high, low = windows.max(axis=(0, 2)), windows.min(axis=(0, 2))
        peaks = np.maximum(high, -low)
        for peak in peaks:
            self._silence.add(bool(peak < self._quiet))
        power = np.square(windows).mean(axis=(0, 2))
        self.outline.add(np.stack([low, high, power], axis=1))
        if peaks.max() >= FULL_SCALE:
            self._count_clipped(samples)

    def silence(self, length: float, start: float) -> dict[str, Any]:
        """Give the silences."""
        found = self._silence.result(length, start)
        return {"threshold_dbfs": SILENCE_DBFS, "shortest_seconds": SHORTEST_SILENCE, **found}

    def clipping(self, samples: int) -> dict[str, Any]:
        """Give how often and how long the sound stood at full scale."""
        return {
            "events": self._events,
            "share": round(self._clipped / samples, 6) if samples else 0.0,
            "method": f"{CLIPPED_RUN} or more samples in a row at full scale, in any channel",
        }

    def _count_clipped(self, samples: NDArray[np.float32]) -> None:
        for channel in samples:
            full = np.abs(channel) >= FULL_SCALE
            edges = np.flatnonzero(np.diff(np.concatenate(([False], full, [False]))))
            runs = edges[1::2] - edges[::2]
            runs = runs[runs >= CLIPPED_RUN]
            self._events += len(runs)
            self._clipped += int(runs.sum())


def _join(one: NDArray[np.float32], two: NDArray[np.float32]) -> NDArray[np.float32]:
    """Let two neighbours be one: the lower low, the higher high, the mean power."""
    return np.stack(
        [
            np.minimum(one[:, 0], two[:, 0]),
            np.maximum(one[:, 1], two[:, 1]),
            (one[:, 2] + two[:, 2]) / 2,
        ],
        axis=1,
    )
