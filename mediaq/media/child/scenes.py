"""The job ``scenes``: cuts, scenes and motion of a film, from reading it once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediaq.media.child import blends, cuts
from mediaq.media.child.blends import BlendFinder
from mediaq.media.child.cuts import CutFinder
from mediaq.media.child.film import Film
from mediaq.media.child.glance import Eye
from mediaq.media.child.motion import MotionMeter
from mediaq.media.child.reading import Reader
from mediaq.media.child.refusal import Refusal
from mediaq.media.child.stills import Album
from mediaq.media.child.storyline import SHORTEST_SECONDS, Storyline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mediaq.media.child.glance import Glance

# Slow things are looked at so often; a little less than a frame's time is no reason to wait.
BEAT_SECONDS = 0.079


class Watch:
    """What looks at the glances of one film, each frame or from time to time."""

    def __init__(self, storyline: Storyline) -> None:
        self.storyline = storyline
        self.motion = MotionMeter()
        self._blends = BlendFinder()
        self._last: float | None = None

    def take(self, settled: Iterable[tuple[Glance, float | None]], *, gradual: bool) -> None:
        """Take glances of which is known whether there is a cut before them."""
        for glance, cut in settled:
            if cut is not None:
                self._tell(self._blends.cut())
                self.storyline.cut(glance.seconds, cut)
            elif self._last is not None and glance.seconds - self._last < BEAT_SECONDS:
                continue
            self._last = glance.seconds
            self.motion.add(glance, cut=cut is not None)
            if gradual:
                self._tell(self._blends.add(glance))

    def end(self, seconds: float) -> None:
        """Close what is open."""
        self._tell(self._blends.end())
        self.storyline.end(seconds)

    def _tell(self, found: Iterable[blends.Blend]) -> None:
        for blend in found:
            self.storyline.blend(blend)


def scenes(job: dict[str, Any], tell: Callable[[float, str], None]) -> dict[str, Any]:
    """Do the job; the answer has the fields of ``mediaq.steps.scenes.Seen``."""
    film = Film(job["source"], job["name"])
    into = Path(job["into"])
    into.mkdir(parents=True, exist_ok=True)
    reader = Reader(film, lambda part: tell(part, "looking for scenes and motion"))
    album = Album(film, into, job["format"])
    finder, eye = CutFinder(), Eye()
    watch = Watch(Storyline(album.keep))
    method = "keyframes" if reader.keyframes else "reference frames"
    looked = 0
    for seconds, frame in reader.frames():
        glance = eye.glance(frame, seconds)
        looked += 1
        album.offer(frame, glance)
        # Between keyframes there is no telling a transition from a walk through the room.
        watch.take(finder.add(glance), gradual=not reader.keyframes)
    if not looked:
        msg = f"no frame of {film.name} could be decoded"
        raise Refusal(msg)
    watch.take(finder.end(), gradual=not reader.keyframes)
    watch.end(reader.end)
    common = {
        "method": method,
        "frames_looked_at": looked,
        "duration_seconds": round(reader.end, 3),
        "notes": reader.notes,
    }
    return {
        "scenes": {**common, **_scenes(watch.storyline, album)},
        "motion": {**common, **watch.motion.summary()},
    }


def _scenes(storyline: Storyline, album: Album) -> dict[str, Any]:
    return {
        "thresholds": {
            "difference": cuts.DIFFERENCE,
            "times_usual": cuts.TIMES_USUAL,
            "times_largest": cuts.TIMES_LARGEST,
            "blend_difference": blends.DIFFERENCE,
            "blend_residual": blends.BESIDE,
            "shortest_scene_seconds": SHORTEST_SECONDS,
        },
        "scene_count": storyline.count,
        "cut_count": storyline.counts["cut"],
        "dissolve_count": storyline.counts["dissolve"],
        "fade_count": storyline.counts["fade"],
        "changes": [
            {
                "seconds": round(change.seconds, 3),
                "kind": change.kind,
                "start_seconds": round(change.start, 3),
                "end_seconds": round(change.end, 3),
                "difference": round(change.strength, 1),
            }
            for change in storyline.changes
        ],
        "scenes": [
            {**scene, "picture": album.pictures.get(scene["number"])} for scene in storyline.scenes
        ],
    }
