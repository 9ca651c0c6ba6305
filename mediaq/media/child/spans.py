"""Stretches of time found while values go by: silences, and speech."""

from __future__ import annotations

from typing import Any

MAX_SPANS = 5000


class Spans:
    """Collects spans of steps of ``step`` seconds each and counts what they add up to.

    Two spans with less than ``bridge`` seconds between them are one; shorter than ``shortest``
    is none. The first :data:`MAX_SPANS` are kept, all are counted.
    """

    def __init__(self, step: float, *, shortest: float, bridge: float = 0.0) -> None:
        self._step, self._shortest, self._bridge = step, shortest, bridge
        self._now = 0
        self._open: tuple[int, int] | None = None
        self.kept: list[tuple[float, float]] = []
        self.seconds = 0.0
        self.more = 0

    def add(self, inside: bool) -> None:  # noqa: FBT001 - the one value of a step
        """Take the next step."""
        if inside:
            begin = self._open[0] if self._open else self._now
            self._open = (begin, self._now + 1)
        elif self._open and (self._now + 1 - self._open[1]) * self._step > self._bridge:
            self._close()
        self._now += 1

    def result(self, length: float, start: float) -> dict[str, Any]:
        """Give spans, seconds and share of ``length``; times are from ``start`` on."""
        self._close()
        seconds = min(self.seconds, length)
        return {
            "spans": [
                {"start": round(start + a, 3), "end": round(start + min(b, length), 3)}
                for a, b in self.kept
                if a < length
            ],
            "seconds": round(seconds, 3),
            "share": round(seconds / length, 4) if length else 0.0,
            "more_spans": self.more,
        }

    def _close(self) -> None:
        if self._open is None:
            return
        begin, end = (edge * self._step for edge in self._open)
        self._open = None
        if end - begin < self._shortest:
            return
        self.seconds += end - begin
        if len(self.kept) < MAX_SPANS:
            self.kept.append((begin, end))
        else:
            self.more += 1
