"""Several decoders side by side, each with its own container, on one list of slots."""

from __future__ import annotations

import gc
import os
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av.error

from mediaq.media.child.decoder import SPARSE_SECONDS, Decoder
from mediaq.media.child.film import Film

if TYPE_CHECKING:
    from collections.abc import Callable

    from av.video.frame import VideoFrame

    from mediaq.media.child.picture import Shot
    from mediaq.media.child.plan import Plan, Slot

MAX_WORKERS = 4


@dataclass(frozen=True, slots=True)
class Take:
    """A frame that was taken: its time stamp in the stream, its time, its picture."""

    slot: Slot
    stamp: int
    seconds: float
    shot: Shot


def cpus() -> int:
    """Count the processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class Crew:
    """Takes all frames of a plan; ``develop`` turns a frame into a picture in the same thread.

    ``film`` is open already and spares one decoder the opening.
    """

    def __init__(
        self,
        film: Film,
        develop: Callable[[VideoFrame, Slot], Shot],
        tell: Callable[[int], None],
    ) -> None:
        self._film: Film | None = film
        self._path, self._name = film.path, film.name
        self._develop = develop
        self._tell = tell
        self._lock = threading.Lock()
        self._takes: list[Take] = []
        self._failure: BaseException | None = None

    def take(self, plan: Plan) -> list[Take]:
        """Take what can be taken of ``plan``, in order of time; a slot may stay without frame."""
        self._takes = []
        gc.freeze()
        most = min(cpus(), MAX_WORKERS)
        groups = plan.groups(most)
        workers = max(1, min(most, len(groups)))
        waiting = deque(groups)
        threads = 1 if workers > 1 else most
        crew = [
            threading.Thread(target=self._work, args=(plan, waiting, threads))
            for _ in range(workers - 1)
        ]
        for thread in crew:
            thread.start()
        self._work(plan, waiting, threads)
        for thread in crew:
            thread.join()
        if self._failure is not None:
            raise self._failure
        return sorted(self._takes, key=lambda take: take.slot.place)

    def _open(self) -> Film:
        with self._lock:
            film, self._film = self._film, None
        return film or Film(self._path, self._name)

    def _work(self, plan: Plan, waiting: deque[list[Slot]], threads: int) -> None:
        try:
            film = self._open()
            film.origin = plan.origin
            decoder = Decoder(film, threads=threads, sparse=plan.spacing >= SPARSE_SECONDS)
            while waiting and self._failure is None:
                try:
                    group = waiting.popleft()
                except IndexError:
                    break
                for slot in group:
                    self._take(decoder, slot, plan.reach)
        except BaseException as error:  # noqa: BLE001 - raised again by take(), in its thread
            self._failure = error

    def _take(self, decoder: Decoder, slot: Slot, reach: float) -> None:
        frame = _frame(decoder, slot, reach)
        if frame is None:
            return
        if slot.number is not None:
            stamp, seconds = slot.number, slot.number / decoder.film.rate
        else:
            stamp = slot.stamp if frame.pts is None else frame.pts
            seconds = decoder.film.seconds(stamp)
        try:
            shot = self._develop(frame, slot)
        except av.error.FFmpegError:
            # A frame that the scaler cannot take is as good as one that cannot be decoded.
            return
        take = Take(slot, stamp, max(0.0, seconds), shot)
        with self._lock:
            self._takes.append(take)
            # Told under the lock: progress must not run backwards.
            self._tell(len(self._takes))


def _frame(decoder: Decoder, slot: Slot, reach: float) -> VideoFrame | None:
    try:
        if slot.number is not None:
            return decoder.number(slot.number)
        frame = None
        if slot.key is not None:
            frame = decoder.at_keyframe(slot.key)
        elif slot.look:
            frame = decoder.keyframe_near(slot.stamp, reach)
        return frame or decoder.shown_at(slot.stamp, slot.start)
    except (av.error.FFmpegError, OSError):
        return None
