"""Loudness by EBU R128 and true peak by ITU-R BS.1770, measured by libavfilter's ebur128."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import av
import av.error
import av.filter

from mediaq.media.child.sound import FORMAT

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

    from mediaq.media.child.sound import Sound

# What the filter says of sound that its gate left nothing of.
NOTHING_LUFS = -70.0
# Below it, the filter's weighting of frequencies means nothing.
LEAST_RATE = 8000
KEY = "lavfi.r128."


class Loudness:
    """Takes blocks and keeps the last word of the filter; silent when it takes no such sound."""

    def __init__(self, sound: Sound) -> None:
        self._last: dict[str, str] = {}
        self._momentary = self._short = -math.inf
        self._graph: av.filter.Graph | None = None
        if sound.rate < LEAST_RATE:
            return
        graph = av.filter.Graph()
        source = graph.add_abuffer(
            sample_rate=sound.rate,
            format=FORMAT,
            layout=sound.stream.layout,
            time_base=sound.stream.time_base,
        )
        meter = graph.add("ebur128", "metadata=1:peak=true:framelog=quiet")
        # It weighs no more than some dozens of channels.
        with contextlib.suppress(av.error.FFmpegError):
            graph.link_nodes(source, meter, graph.add("abuffersink")).configure()
            self._graph = graph

    def hear(self, block: AudioFrame | None) -> None:
        """Take a block; None is the end."""
        if self._graph is None:
            return
        self._graph.push(block)
        with contextlib.suppress(av.error.BlockingIOError, av.error.EOFError):
            while True:
                said = self._graph.pull().metadata
                if KEY + "M" not in said:
                    # The last piece, shorter than the filter's step of 100 ms.
                    continue
                self._last = said
                self._momentary = max(self._momentary, float(said[KEY + "M"]))
                self._short = max(self._short, float(said[KEY + "S"]))

    def result(self) -> dict[str, Any]:
        """Give LUFS, LU and dBTP; None where there was too little or too quiet sound to tell."""
        said = {key: float(self._last.get(KEY + key, "nan")) for key in ("I", "LRA")}
        peak = float(self._last.get(KEY + "true_peak", "nan"))
        integrated = _finite(said["I"], above=NOTHING_LUFS)
        return {
            "integrated_lufs": integrated,
            "range_lu": None if integrated is None else _finite(said["LRA"]),
            "true_peak_dbtp": _finite(20 * math.log10(peak)) if peak > 0 else None,
            "max_momentary_lufs": _finite(self._momentary, above=NOTHING_LUFS),
            "max_short_term_lufs": _finite(self._short, above=NOTHING_LUFS),
        }


def _finite(value: float, above: float = -math.inf) -> float | None:
    return round(value, 1) if math.isfinite(value) and value > above else None
