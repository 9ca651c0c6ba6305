"""Which frequencies a sound holds over time, for its spectrogram."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mediaq.media.child.columns import Columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

SECONDS = 0.046
BANDS = 256
LOWEST_HERTZ = 40.0


class Spectrum:
    """Sums the power of a mix of all channels into bands of even width on a log scale."""

    def __init__(self, rate: int) -> None:
        self.edges = np.geomspace(min(LOWEST_HERTZ, rate / 8), rate / 2, BANDS + 1)
        self._size = size = 2 ** round(np.log2(rate * SECONDS))
        self._shape = np.hanning(size).astype(np.float32)
        # A band narrower than the transform's own steps takes the step it lies in.
        steps = np.floor(self.edges / rate * size).astype(int)
        self._first = np.minimum(steps[:-1], size // 2)
        self._count = np.maximum(1, steps[1:] - steps[:-1])
        self._rest = np.zeros(0, np.float32)
        self.columns = Columns(BANDS, join=_mean)

    def hear(self, mix: NDArray[np.float32]) -> None:
        """Take the next samples, all channels mixed to one; pieces overlap by half."""
        samples = np.concatenate([self._rest, mix])
        half = self._size // 2
        pieces = max(0, len(samples) // half - 1)
        self._rest = samples[pieces * half :]
        if not pieces:
            return
        found = np.fft.rfft(
            np.lib.stride_tricks.sliding_window_view(samples, self._size)[: pieces * half : half]
            * self._shape,
            axis=1,
        )
        power = np.square(found.real) + np.square(found.imag)
        sums = np.concatenate([np.zeros((pieces, 1)), np.cumsum(power, axis=1)], axis=1)
        bands = sums[:, self._first + self._count] - sums[:, self._first]
        self.columns.add(np.asarray(bands / self._count, np.float32))

    def finish(self) -> None:
        """Take the last samples, with silence after them."""
        self.hear(np.zeros(self._size, np.float32))


def _mean(one: NDArray[np.float32], two: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((one + two) / 2, np.float32)
