"""Reading a film from end to end at the least cost: what is decoded, and when it is shown."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Literal

import av.error

from mediaq.media.child.crew import cpus
from mediaq.media.child.film import Film

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Wall-clock seconds after which only keyframes are read on, and twice which it ends.
BUDGET_SECONDS = 240.0
# What one processor decodes in a second, reference frames of a dear codec, keyframes at worst.
PIXELS_PER_SECOND = 400e6
KEY_PIXELS_PER_SECOND = 100e6
# Keyframes nearer to each other than this tell nothing new.
KEY_GAP_SECONDS = 0.5
# A packet this much larger than the largest lately brings much that is new, most likely a cut.
LARGE = 1.5
LATELY = 24
# Packets after a large one in which the frames beside it stand.
BESIDE = 8
# So many errors of the demuxer one after another are its end.
MOST_ERRORS = 50
SPARSE_RATE = 16.0
TELL_SECONDS = 1.0
MOST_THREADS = 8
STUCK = 3


class Reader:
    """One film, read once; ``keyframes`` says from the first how, ``notes`` what went otherwise."""

    def __init__(self, film: Film, tell: Callable[[float], None]) -> None:
        self._film = film
        self._tell = tell
        self._context = film.stream.codec_context
        self._context.thread_count = min(cpus(), MOST_THREADS)
        self._context.thread_type = "AUTO"
        self._begin = self._told = time.monotonic()
        self._length = film.duration() or 0.0
        pixels = self._context.width * self._context.height
        cost = self._length * film.rate * pixels / (PIXELS_PER_SECOND * cpus())
        self.keyframes = cost > BUDGET_SECONDS
        most = BUDGET_SECONDS * KEY_PIXELS_PER_SECOND * cpus() / pixels
        self._key_gap = max(KEY_GAP_SECONDS, self._length / most)
        self.notes: list[str] = []
        self.end = 0.0
        self.damaged = 0
        self._reach = 0.0
        self._clock = Clock(film)
        # With few frames a second one that is skipped is a long time.
        self._skipped: Literal["NONREF", "DEFAULT"] = (
            "DEFAULT" if film.rate < SPARSE_RATE else "NONREF"
        )

    def frames(self) -> Iterator[tuple[float, VideoFrame]]:
        """Give frames with the seconds since the first, always later than the one before."""
        for packet in self._packets():
            for frame in self._decode(packet):
                seconds = self._clock.seconds(frame)
                if seconds is not None:
                    self.end = seconds + self._clock.lasting(frame)
                    yield seconds, frame
            self._say(packet)
        if self.keyframes:
            self.end = max(self.end, min(self._reach, self._length or self._reach))
        if self.damaged:
            self.notes.append(f"{self.damaged} damaged parts were left out.")
        if self._length - self.end > max(1.0, self._length * 0.02):
            told = f"{self._length:.1f} s of video"
            self.notes.append(f"Only {self.end:.1f} s of the {told} could be read.")

    def _packets(self) -> Iterator[Packet[VideoStream] | None]:
        """Give the packets worth decoding, last of all None."""
        last_key = -self._key_gap
        sizes: deque[int] = deque([0], maxlen=LATELY)
        beside = 0
        for packet in self._demuxed():
            if self._late():
                break
            if self.keyframes:
                stamp = packet.pts if packet.pts is not None else packet.dts
                when = self._film.seconds(stamp) if stamp is not None else last_key + self._key_gap
                # What is not decoded still tells how far the film goes.
                self._reach = max(self._reach, when + 1 / self._film.rate)
                if not packet.is_keyframe or 0 <= when - last_key < self._key_gap:
                    continue
                last_key = when
            elif packet.is_keyframe or packet.size > LARGE * max(sizes):
                # The frames beside a cut are looked at as well, to find its place.
                beside = BESIDE
            if not packet.is_keyframe:
                sizes.append(packet.size)
            beside -= 1
            self._context.skip_frame = "DEFAULT" if beside > 0 or self.keyframes else self._skipped
            yield packet
        yield None

    def _demuxed(self) -> Iterator[Packet[VideoStream]]:
        packets = self._film.container.demux(self._film.stream)
        errors = 0
        while errors < MOST_ERRORS:
            try:
                packet = next(packets, None)
            except (av.error.EOFError, IndexError):
                # The latter where streams turned up on the way, see container.packets_of.
                return
            except (av.error.FFmpegError, OSError):
                errors += 1
                self.damaged += 1
                continue
            if packet is None:
                return
            if packet.size:
                errors = 0
                yield packet

    def _late(self) -> bool:
        """Go over to keyframes when it takes too long; tell when to stop altogether."""
        spent = time.monotonic() - self._begin
        if spent > 2 * BUDGET_SECONDS:
            self.notes.append(f"Reading was ended after {spent:.0f} s.")
            return True
        if spent > BUDGET_SECONDS and not self.keyframes:
            self.keyframes = True
            self.notes.append(f"From {self.end:.0f} s on only keyframes were read, to save time.")
        return False

    def _decode(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        """Decode and forgive: one bad frame is no end."""
        try:
            return self._context.decode(packet)
        except av.error.FFmpegError:
            self.damaged += 1
            return []

    def _say(self, packet: Packet[VideoStream] | None) -> None:
        now = time.monotonic()
        if now - self._told < TELL_SECONDS:
            return
        self._told = now
        part = self.end / self._length if self._length else 0.0
        if not self._length and packet is not None and packet.pos:
            part = packet.pos / self._film.size
        self._tell(min(1.0, part))


class Clock:
    """Turns time stamps into seconds that only go forward, also where the stamps do not."""

    def __init__(self, film: Film) -> None:
        self._film = film
        self._first: int | None = None
        self._last = -1.0
        self._ahead = 0.0
        self._stuck = 0
        self._step = 1 / film.rate

    def seconds(self, frame: VideoFrame) -> float | None:
        """Give the time of a frame since the first one; None for one that comes out of its turn."""
        stamp = frame.pts if frame.pts is not None else frame.dts
        if stamp is None:
            when = max(0.0, self._last + self._step) if self._last >= 0 else 0.0
        else:
            if self._first is None:
                self._first = stamp
            when = (stamp - self._first) * self._film.tick + self._ahead
        if when <= self._last:
            self._stuck += 1
            if self._last - when < 1 and self._stuck < STUCK:
                return None
            # The stamps began anew: time goes on from here.
            self._ahead += self._last + self._step - when
            when = self._last + self._step
        self._stuck = 0
        self._last = when
        return when

    def lasting(self, frame: VideoFrame) -> float:
        """Give how long a frame is shown."""
        lasting = frame.duration * self._film.tick if frame.duration else self._step
        return lasting if 0 < lasting < max(1.0, 4 * self._step) else self._step
