"""A video stream seen as a line of frames: where it starts, how long it is, its keyframes."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av.error
from av.codec import CodecContext
from av.video.codeccontext import VideoCodecContext

from mediaq.media.child import extent
from mediaq.media.child.container import film_stream, open_media, packets_of
from mediaq.media.child.refusal import Refusal

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

MICROSECONDS = 1_000_000
DEFAULT_RATE = 25.0

SEES_THROUGH = {"vp8": "libvpx", "vp9": "libvpx-vp9"}

# Demuxers whose index holds real keyframes once they were sought in; mpegts notes guesses.
INDEXED = frozenset({"mov", "matroska", "avi", "flv", "asf", "nut"})
# Demuxers that cannot seek by time: read from the start.
UNSEEKABLE = frozenset({
    "apng", "av1", "dv", "gif", "h261", "h263", "h264", "hevc", "ivf", "m4v", "mjpeg",
    "mpegvideo", "obu", "smk", "vc1", "vvc", "yuv4mpegpipe",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Listing:
    """Every frame of a stream in showing order, read from its packets without decoding.

    ``stamps`` are time stamps; ``counted`` says that the stream has none and these are numbers
    of frames. ``keys`` are positions in ``stamps``. ``last`` is how long the last frame stays, in
    ticks, 0 when unknown.
    """

    stamps: tuple[int, ...]
    keys: tuple[int, ...]
    counted: bool
    last: int


class Film:
    """An open container with its film stream; times are seconds since the first frame."""

    def __init__(self, path: str, name: str) -> None:
        self.path = path
        self.name = name
        self.container: InputContainer = open_media(path, name)
        self.stream: VideoStream = film_stream(self.container, name)
        self.context = _context(self.stream)
        self.format = self.container.format.name.split(",")[0]
        self.tick = float(self.stream.time_base or 1 / MICROSECONDS)
        self.origin = self.stream.start_time or 0
        rate = self.stream.average_rate or self.stream.guessed_rate
        self.rate = float(rate) if rate and 0 < rate <= 1000 else DEFAULT_RATE  # noqa: PLR2004

    @property
    def begin(self) -> float:
        """Give the time of the first frame on the container's clock."""
        return self.origin * self.tick

    def seconds(self, stamp: int) -> float:
        """Turn a time stamp of the stream into seconds since the first frame."""
        return (stamp - self.origin) * self.tick

    def stamp(self, seconds: float) -> int:
        """Turn seconds since the first frame into a time stamp of the stream."""
        return self.origin + round(seconds / self.tick)

    @property
    def seekable(self) -> bool:
        """Tell whether the demuxer can go to a time."""
        return self.format not in UNSEEKABLE

    @property
    def indexed(self) -> bool:
        """Tell whether the demuxer seeks by an index of its keyframes."""
        return self.format in INDEXED

    def duration(self) -> float | None:
        """Give the length of the video alone; sound may go on after it."""
        if self.stream.duration and self.stream.duration > 0:
            return self.stream.duration * self.tick
        # Matroska tells where the stream ends, on a clock that need not begin with it.
        end = _clock(self.stream.metadata.get("DURATION", ""))
        if end is not None and end > self.origin * self.tick:
            return end - self.origin * self.tick
        if self.container.duration is None or self.container.duration <= 0:
            return None
        if len(self.container.streams) == 1:
            return self.container.duration / MICROSECONDS
        return None

    def keyframes(self, duration: float) -> list[tuple[float, int]] | None:
        """Give (seconds, time stamp to seek to) of all keyframes, or None when it is not known.

        An index that ends long before the video does is no index.
        """
        if not self.indexed:
            return None
        if self.format != "mov":
            # Matroska and others load their index when first asked to seek.
            with contextlib.suppress(av.error.FFmpegError, OSError):
                self.container.seek(self.stamp(duration / 2), stream=self.stream)
        entries = [e for e in self.stream.index_entries if not e.is_discard]
        stamps = sorted(e.timestamp for e in entries if e.is_keyframe)
        if not stamps or self.seconds(entries[-1].timestamp) < duration * 0.8 - 1:
            return None
        # The index of mp4 counts decoding times, but seeking in it goes by times of showing.
        early = self.origin - stamps[0]
        shift = early if 0 < early * self.tick < 1 else 0
        return [(self.seconds(stamp + shift), stamp + shift) for stamp in stamps]

    def frame_count(self) -> int | None:
        """Give the number of frames where the container's index tells it."""
        if self.format in {"mov", "avi"}:
            return len(self.stream.index_entries) or self.stream.frames or None
        return self.stream.frames or None

    @property
    def size(self) -> int:
        """Give the size of the file in bytes."""
        return Path(self.path).stat().st_size

    def close(self) -> None:
        """Close the container."""
        self.container.close()


def _context(stream: VideoStream) -> VideoCodecContext:
    """Choose the decoder: libav's own of VP8 and VP9 do not see that there is transparency."""
    codec = SEES_THROUGH.get(stream.codec_context.name)
    if codec is None or stream.metadata.get("alpha_mode") != "1":
        return stream.codec_context
    try:
        context = CodecContext.create(codec, "r")
    except av.error.FFmpegError:
        return stream.codec_context
    assert isinstance(context, VideoCodecContext)  # noqa: S101 - as its codec's name says
    context.options = {"max_pixels": str(extent.current().pixels)}
    return context


def list_frames(path: str, name: str) -> Listing:
    """Read all packets of the film, in a container of its own."""
    film, most = Film(path, name), extent.current()
    packets: list[tuple[int | None, bool]] = []
    lasting: dict[int | None, int] = {}
    with contextlib.suppress(av.error.FFmpegError, OSError):
        for packet in packets_of(film.container, film.stream):
            if packet.size and not packet.is_discard:
                stamp = packet.pts if packet.pts is not None else packet.dts
                packets.append((stamp, packet.is_keyframe))
                if why := most.too_many_frames(len(packets)):
                    msg = f"{name} {why}"
                    raise Refusal(msg)
                lasting[stamp] = packet.duration or 0
    film.close()
    counted = not film.seekable and any(stamp is None for stamp, _ in packets)
    keys: dict[int, bool] = {}
    for number, (stamp, is_key) in enumerate(packets):
        if counted:
            keys[number] = is_key
        elif stamp is not None:
            keys[stamp] = is_key
    stamps = tuple(sorted(keys))
    places = tuple(i for i, stamp in enumerate(stamps) if keys[stamp])
    last = lasting.get(stamps[-1], 0) if stamps and not counted else 0
    return Listing(stamps, places, counted, last)


def _clock(text: str) -> float | None:
    """Read Matroska's ``HH:MM:SS.nnnnnnnnn``."""
    try:
        hours, minutes, seconds = text.split(":")
        total = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None
    return total if total > 0 else None
