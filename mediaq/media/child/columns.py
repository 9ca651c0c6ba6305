"""A picture's columns of something that lasts nobody knows how long, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Join = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]

MOST = 4096


class Columns:
    """Keeps up to twice :data:`MOST` rows of values; each time they are full, two become one.

    Each kept row stands for the same number of added ones, so that times stay even.
    """

    def __init__(self, width: int, *, join: Join) -> None:
        self._kept = np.zeros((2 * MOST, width), np.float32)
        self._count = 0
        self._join = join
        self._each = 1
        self._rest = np.zeros((0, width), np.float32)

    def add(self, rows: NDArray[np.float32]) -> None:
        """Take rows, one for each step of time."""
        self._rest = np.concatenate([self._rest, rows.astype(np.float32)])
        whole = len(self._rest) // self._each * self._each
        joined = self._joined(self._rest[:whole], self._each)
        self._rest = self._rest[whole:]
        while len(joined):
            free = 2 * MOST - self._count
            taken = joined[:free]
            self._kept[self._count : self._count + len(taken)] = taken
            self._count += len(taken)
            joined = joined[free:]
            if self._count == 2 * MOST:
                self._kept[:MOST] = self._joined(self._kept, 2)
                self._count, self._each = MOST, self._each * 2
                self._rest = np.concatenate([_spread(joined, self._each // 2), self._rest])
                joined = joined[:0]

    def rows(self) -> NDArray[np.float32]:
        """Give what was kept, with the unfinished last one."""
        rest = self._rest[:1] if len(self._rest) else self._rest
        return np.concatenate([self._kept[: self._count], rest])

    def _joined(self, rows: NDArray[np.float32], each: int) -> NDArray[np.float32]:
        while each > 1:
            rows, each = self._join(rows[::2], rows[1::2]), each // 2
        return rows


def _spread(rows: NDArray[np.float32], each: int) -> NDArray[np.float32]:
    return np.repeat(rows, each, axis=0)
