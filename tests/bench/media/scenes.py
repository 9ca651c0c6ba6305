"""Time scenes and motion beside a bare decode and PySceneDetect, and count the cuts both find.

    python -m tests.bench.media.scenes VIDEO [VIDEO...] [--rounds 3] [--peer PYTHON]

``--peer`` is the Python of an environment with ``scenedetect`` and OpenCV; without it that column
is left out. Wall-clock and processor seconds include the start of every process. The films of the
second table are drawn with known cuts (``tests/edited.py``); a change counts as found within 0.1 s.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mediaq.media.local import LocalMedia
from mediaq.steps.scenes import Seen
from tests import edited
from tests.edited import Known

SLACK = 0.1

BARE = """
import sys, av
container = av.open(sys.argv[1])
stream = container.streams.video[0]
stream.codec_context.thread_count = int(sys.argv[2])
stream.codec_context.thread_type = "AUTO"
for frame in container.decode(stream): pass
"""
PEER = """
import sys, json
from scenedetect import AdaptiveDetector, ContentDetector, ThresholdDetector, detect
detector = {"adaptive": AdaptiveDetector, "content": ContentDetector,
            "threshold": ThresholdDetector}[sys.argv[2]]()
found = detect(sys.argv[1], detector)
print(json.dumps([scene[0].get_seconds() for scene in found[1:]]))
"""

Cost = tuple[float, float]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("videos", nargs="*", type=Path)
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--peer", help="Python with scenedetect")
    given = asked.parse_args()
    print(
        f"{len(os.sched_getaffinity(0))} processors, median of {given.rounds}: wall / processor s"
    )
    for video in given.videos:
        time_all(video, given.rounds, given.peer)
    count_all(given.peer)


def time_all(video: Path, rounds: int, peer: str | None) -> None:
    """Time each way once a round, so that all have the same neighbours."""
    cores = str(len(os.sched_getaffinity(0)))
    ways: dict[str, Callable[[], object]] = {
        "bare decode": lambda: call([sys.executable, "-c", BARE, str(video), cores]),
        "mediaq": lambda: look(video),
    }
    if peer:
        ways["PySceneDetect"] = lambda: call([peer, "-c", PEER, str(video), "adaptive"])
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            costs[name].append(cost(way))
    floor = [statistics.median(column) for column in zip(*costs["bare decode"], strict=True)]
    print(video.name)
    for name, taken in costs.items():
        wall, processor = (statistics.median(column) for column in zip(*taken, strict=True))
        times = f"{wall / floor[0]:.2f}x / {processor / floor[1]:.2f}x"
        print(f"  {name:<16}{wall:>8.2f} / {processor:.2f}   {times}", flush=True)


def cost(way: Callable[[], object]) -> Cost:
    """Give wall-clock seconds and the processor's, of all processes that were started."""
    used, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    way()
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return time.perf_counter() - begin, spent


def call(command: Sequence[str]) -> str:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.decode()


def look(video: Path) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        asking = LocalMedia().ask(
            "scenes", video, Seen, title=video.name, into=folder, format="jpeg"
        )
        return [change.seconds for change in asyncio.run(asking).scenes.changes]


def count_all(peer: str | None) -> None:
    """Print what each finds in films with known changes: found, missed and false ones."""
    ways: dict[str, Callable[[Path], list[float]]] = {"mediaq": look}
    for detector in ("adaptive", "content", "threshold") if peer else ():
        ways[detector] = lambda film, name=detector: json.loads(  # type: ignore[misc]
            call([str(peer), "-c", PEER, str(film), name])
        )
    totals = {name: [0, 0, 0] for name in ways}
    print(f"\n{'found + false of known':<24}" + "".join(f"{name:>12}" for name in ways))
    with tempfile.TemporaryDirectory() as folder:
        for label, edit in edited.films().items():
            film = edited.encode(Path(folder) / "film.mp4", edit)
            line = f"{label:<20}{len(edit.known()):>4}"
            for name, way in ways.items():
                right, false = score(way(film), edit.known())
                for place, number in enumerate((right, false, len(edit.known()))):
                    totals[name][place] += number
                line += f"{f'{right} + {false}':>12}"
            print(line, flush=True)
    for name, (right, false, known) in totals.items():
        print(f"{name}: precision {right / max(1, right + false):.2f}, recall {right / known:.2f}")


def score(found: Sequence[float], known: Sequence[Known]) -> tuple[int, int]:
    """Give how many known changes were found, and how many finds were none or came twice."""
    right = sum(
        any(there.start - SLACK <= seconds <= there.end + SLACK for seconds in found)
        for there in known
    )
    return right, len(found) - right


if __name__ == "__main__":
    main()
