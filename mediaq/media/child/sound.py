"""The sound of a file as even blocks of float samples, whatever it is stored as."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import av
import av.error
from av.stream import Disposition

from mediaq.media.child.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

MAX_CHANNELS = 64
RATES = range(1_000, 768_001)
# Not planar: PyAV reads past the planes of eight and more channels.
FORMAT = "flt"
WINDOW_SECONDS = 0.01
MAX_BLOCK_SAMPLES = 4 * 1024 * 1024
MAX_START_SECONDS = 3600
MICROSECONDS = 1_000_000


def sound_stream(container: InputContainer, name: str) -> AudioStream:
    """Choose the stream to hear: the default one, else the first that can be decoded."""
    streams = container.streams.audio
    if not streams:
        msg = f"{name} has no sound"
        raise Refusal(msg)
    # Without a decoder for it, PyAV gives a stream no codec context, whatever its types say.
    readable = [s for s in streams if getattr(s.codec_context, "sample_rate", 0) > 0]
    if not readable:
        msg = f"{name} holds sound that cannot be decoded: its codec or its rate is unknown"
        raise Refusal(msg)
    chosen = next((s for s in readable if s.disposition & Disposition.default), readable[0])
    channels = chosen.codec_context.layout.nb_channels
    if not 1 <= channels <= MAX_CHANNELS:
        # What libav takes for impossible, such as 65,535, it shows as none.
        count = channels or "an impossible number of"
        msg = f"{name} says that it has {count} channels; {MAX_CHANNELS} is the limit"
        raise Refusal(msg)
    rate = chosen.codec_context.sample_rate
    if rate not in RATES:
        msg = (
            f"{name} says that it has {rate:,} samples a second;"
            f" {RATES[0]:,} to {RATES[-1]:,} are read"
        )
        raise Refusal(msg)
    chosen.codec_context.thread_type = "NONE"
    return chosen


@dataclass(slots=True)
class Sound:
    """Decodes one stream; ``start`` is when it begins, ``damaged`` counts what was left out."""

    container: InputContainer
    stream: AudioStream
    rate: int = field(init=False)
    channels: int = field(init=False)
    window: int = field(init=False)
    start: float = 0.0
    damaged: int = 0

    def __post_init__(self) -> None:
        context = self.stream.codec_context
        self.rate, self.channels = context.sample_rate, context.layout.nb_channels
        self.window = max(1, round(self.rate * WINDOW_SECONDS))

    @property
    def step(self) -> float:
        """Seconds of one window."""
        return self.window / self.rate

    @property
    def length(self) -> float | None:
        """Seconds that the file says it lasts; it may lie."""
        stream = self.stream
        if stream.duration and stream.time_base and stream.duration > 0:
            return float(stream.duration * stream.time_base)
        whole = self.container.duration or 0
        return whole / MICROSECONDS if whole > 0 else None

    def blocks(self) -> Iterator[AudioFrame]:
        """Give float blocks of about a second, a whole number of windows each but the last.

        A stream that changes its rate or layout in the middle goes on in the first one's.
        """
        windows = MAX_BLOCK_SAMPLES // (self.channels * self.window)
        size = self.window * max(1, min(round(1 / WINDOW_SECONDS), windows))
        even = av.AudioResampler(FORMAT, self.stream.layout, self.rate, frame_size=size)
        form = None
        for frame in self._frames():
            if frame.samples == 0:
                continue
            frame.pts = None
            now = (frame.format.name, frame.layout.name, frame.sample_rate)
            if form is not None and now != form:
                yield from even.resample(None)
                even = av.AudioResampler(FORMAT, self.stream.layout, self.rate, frame_size=size)
            form = now
            yield from even.resample(frame)
        if form is not None:
            yield from even.resample(None)

    def _frames(self) -> Iterator[AudioFrame]:
        first = True
        # The last one where streams turned up on the way, see container.packets_of.
        with contextlib.suppress(av.error.FFmpegError, OSError, IndexError):
            for packet in self.container.demux(self.stream):
                try:
                    frames = packet.decode()
                except (av.error.FFmpegError, OSError):
                    self.damaged += 1
                    continue
                for frame in frames:
                    if first:
                        self.start, first = self._start(frame), False
                    yield frame

    def _start(self, frame: AudioFrame) -> float:
        """Seconds from the beginning of the file, of its pictures too, to the first sound."""
        begin = (self.container.start_time or 0) / MICROSECONDS
        late = (frame.time or 0.0) - begin
        return round(late, 3) if 0 < late < MAX_START_SECONDS else 0.0
