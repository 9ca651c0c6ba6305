"""Getting one frame out of a film with as little decoding as possible."""

from __future__ import annotations

import contextlib
import gc
from collections import deque
from typing import TYPE_CHECKING

import av.error

from mediaq.media.child.container import packets_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from mediaq.media.child.film import Film

# No codec shows a frame more packets after it was read than this.
REORDER = 64
# Frames nobody refers to may be skipped when targets are so far apart that none is a target.
SPARSE_SECONDS = 1.0
# Steps back, in seconds, to find a keyframe where there is no index.
STEPS_BACK = (0.5, 3.0, 12.0, 60.0)
# How far beside the mark a seek without an index may land.
UNSURE_SECONDS = 1.0
# Without an index: further away than this a keyframe most likely lies between.
FAR_SECONDS = 10.0


class Decoder:
    """One film, one codec context, one thread."""

    def __init__(self, film: Film, *, threads: int, sparse: bool) -> None:
        self.film = film
        self.stream = film.stream
        self.context = film.context
        self.context.thread_count = threads
        self._sparse = sparse
        self._begin()

    def _begin(self) -> None:
        self._packets: Iterator[Packet[VideoStream]] = packets_of(self.film.container, self.stream)
        self._window: deque[Packet[VideoStream]] = deque()
        self._ahead: Packet[VideoStream] | None = None
        self._inside: set[int] = set()
        self._ready: list[VideoFrame] = []
        self._ended = False
        self._taken: int | None = None
        self._counted = 0

    def _seek(self, stamp: int) -> None:
        container = self.film.container
        try:
            if self.film.indexed:
                container.seek(stamp, stream=self.stream)
            elif stamp <= self.film.origin:
                # Sought by time, the first keyframe of a transport stream is not found.
                container.seek(0, unsupported_byte_offset=True)
            else:
                container.seek(stamp, stream=self.stream)
        except (av.error.FFmpegError, OSError):
            # Before the first frame: libav finds nothing that lies further back.
            container.seek(stamp, stream=self.stream, backward=False)
        self._begin()
        # Packets and what reads them refer to each other, and Python, which counts objects and
        # not bytes, would keep hundreds. Quick, as the crew set aside what was there before.
        gc.collect()

    def at_keyframe(self, stamp: int) -> VideoFrame | None:
        """Decode the keyframe whose index entry or time is ``stamp``, and nothing else."""
        self._seek(stamp if self.film.indexed else self._earlier(stamp, UNSURE_SECONDS))
        for packet in self._packets:
            late = max(_or(packet.pts, stamp), _or(packet.dts, stamp))
            if packet.is_keyframe and packet.size and late >= stamp:
                return self._alone(packet)
        return None

    def number(self, wanted: int) -> VideoFrame | None:
        """Decode on to the frame with that number, for streams without time stamps."""
        while True:
            while self._ready:
                frame = self._ready.pop(0)
                self._counted += 1
                if self._counted > wanted:
                    return frame
            if not self._read_on(None):
                return None

    def keyframe_near(self, wanted: int, reach: float) -> VideoFrame | None:
        """Find a keyframe within ``reach`` seconds of time stamp ``wanted`` without an index."""
        around = round(reach / self.film.tick)
        first, last = max(self.film.origin, wanted - around), wanted + around
        self._seek(wanted)
        for packet in self._packets:
            stamp = packet.pts if packet.pts is not None else packet.dts
            if not packet.size or (stamp is not None and stamp > last):
                return None
            if packet.is_keyframe and stamp is not None and stamp >= first:
                return self._alone(packet)
        return None

    def _alone(self, packet: Packet[VideoStream]) -> VideoFrame | None:
        """Decode one packet; none comes from what is no true keyframe, as with intra refresh."""
        self._ended = True
        if self._sparse:
            self.context.skip_frame = "DEFAULT"
        frames = self._decode(packet) or self._decode(None)
        self.context.flush_buffers()
        return frames[0] if frames else None

    def shown_at(self, wanted: int, start: int | None) -> VideoFrame | None:
        """Decode the frame on screen at time stamp ``wanted``: the last one not after it.

        ``start`` is the entry to seek to of the keyframe before it, when an index tells. Decodes
        on from the last frame where no keyframe lies between.
        """
        if self.film.seekable and self._must_seek(wanted, start):
            self._go_before(wanted, start)
        self._read_until(wanted)
        known = [p.pts for p in self._window if p.pts is not None]
        known += [f.pts for f in self._ready if f.pts is not None]
        known += self._inside
        before = [stamp for stamp in known if stamp <= wanted]
        target = max(before) if before else min(known, default=wanted)
        return self._until(target)

    def _must_seek(self, wanted: int, start: int | None) -> bool:
        if any(f.pts is not None and f.pts <= wanted for f in self._ready):
            return False
        if self._taken is None or self._ended or wanted < self._taken:
            return True
        if start is not None:
            return start > self._taken
        return (wanted - self._taken) * self.film.tick > FAR_SECONDS

    def _go_before(self, wanted: int, start: int | None) -> None:
        """Stand at a keyframe not after ``wanted``: at ``start``, else further and further back."""
        places = [self._earlier(wanted, step) for step in STEPS_BACK]
        if start is not None:
            places.insert(0, start)
        for stamp in places:
            self._seek(stamp)
            key = self._first_key()
            if key is not None and _or(key.pts, wanted) <= wanted:
                self._ahead = key
                return
            if stamp <= self.film.origin:
                break
        self._seek(self.film.origin)

    def _earlier(self, stamp: int, seconds: float) -> int:
        return max(self.film.origin, stamp - round(seconds / self.film.tick))

    def _first_key(self) -> Packet[VideoStream] | None:
        with contextlib.suppress(av.error.FFmpegError):
            for packet in self._packets:
                if packet.is_keyframe and packet.size:
                    return packet
        return None

    def _next(self) -> Packet[VideoStream] | None:
        packet, self._ahead = self._ahead, None
        if packet is None and not self._ended:
            try:
                packet = next(self._packets, None)
            except av.error.FFmpegError:
                packet = None
        if packet is None or not packet.size:
            return None
        if packet.pts is None:
            packet.pts = packet.dts
        return packet

    def _read_until(self, wanted: int) -> None:
        """Read packets up to the decoding time ``wanted``; all that lie far behind are decoded."""
        while (packet := self._next()) is not None:
            if packet.dts is not None and packet.dts > wanted:
                self._ahead = packet
                return
            self._window.append(packet)
            if len(self._window) > REORDER:
                self._feed(self._window.popleft(), None)
                while len(self._ready) > 1 and _or(self._ready[1].pts, 0) <= wanted:
                    del self._ready[0]

    def _until(self, target: int) -> VideoFrame | None:
        self._taken = target
        latest: VideoFrame | None = None
        while True:
            while self._ready:
                frame = self._ready[0]
                if frame.pts is not None and frame.pts > target:
                    # The target never came out (a damaged frame): the one before it stands in.
                    return latest or frame
                latest = self._ready.pop(0)
                if latest.pts == target:
                    return latest
            if not self._read_on(target):
                return latest

    def _read_on(self, target: int | None) -> bool:
        """Decode one packet more, or the rest at the end; False when there is nothing left."""
        if self._window:
            self._feed(self._window.popleft(), target)
        elif (packet := self._next()) is not None:
            self._feed(packet, target)
        elif not self._ended:
            self._ended = True
            self._collect(self._decode(None))
        else:
            return False
        return True

    def _feed(self, packet: Packet[VideoStream], target: int | None) -> None:
        if self._sparse:
            self.context.skip_frame = "DEFAULT" if packet.pts == target else "NONREF"
        if packet.pts is not None:
            self._inside.add(packet.pts)
        self._collect(self._decode(packet))

    def _decode(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        """Decode and forgive: what a damaged packet does not give, its neighbours may."""
        try:
            return self.context.decode(packet)
        except av.error.FFmpegError:
            return []

    def _collect(self, frames: list[VideoFrame]) -> None:
        for frame in frames:
            if frame.pts is None:
                frame.pts = frame.dts
            self._ready.append(frame)
        if frames and frames[-1].pts is not None:
            # Whatever should have come before this frame was skipped or is damaged.
            shown = frames[-1].pts
            self._inside = {stamp for stamp in self._inside if stamp > shown}


def _or(stamp: int | None, otherwise: int) -> int:
    return otherwise if stamp is None else stamp
