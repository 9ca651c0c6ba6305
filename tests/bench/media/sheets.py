"""Time contact sheets beside vcsi, mtn, ffmpeg and the bare cost of the frames; run by hand.

    python tests/bench/media/sheets.py [--only 10min] [--rounds 3] [--exact]

The videos are made once and kept in the system's folder for temporary files. Programs that are
not on PATH are left out with a line that says so. Each figure is the median of wall-clock times,
everything included: start of the process, 24 frames, one sheet of 4 x 6 tiles of 320 pixels.

``limit`` is the floor: a process that seeks to the same 24 frames and decodes them on all
processors, a keyframe where one is near, and writes nothing. With ``--exact`` the exact frames are
timed beside ``ffmpeg -ss``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mediaq.media.ffmpeg import find_ffmpeg
from mediaq.media.local import LocalMedia
from mediaq.model import Options

FOLDER = Path(tempfile.gettempdir()) / "mediaq-bench"
COLUMNS, ROWS, WIDTH = 4, 6, 320
FRAMES = COLUMNS * ROWS
RATE = 30
FAILED = float("inf")
SEGMENT_SECONDS = 60
CPUS = len(os.sched_getaffinity(0))

Way = Callable[["Video", Path], None]

LIMIT = """
import sys, threading, av
path, count, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def work(part):
    with av.open(path) as film:
        stream = film.streams.video[0]
        stream.codec_context.thread_count = 1
        keys = [e.timestamp for e in stream.index_entries if e.is_keyframe]
        for n in part:
            wanted, step = (n + 0.5) * stream.duration / count, stream.duration / count
            key = min(keys, key=lambda k: abs(k - wanted))
            if abs(key - wanted) <= step / 2:
                film.seek(key, stream=stream)
                packet = next(p for p in film.demux(stream) if p.is_keyframe)
                assert stream.codec_context.decode(packet) or stream.codec_context.decode(None)
            else:
                film.seek(int(wanted), stream=stream)
                next(f for f in film.decode(stream) if f.pts + f.duration > wanted)
            stream.codec_context.flush_buffers()
size = -(-count // workers)
parts = [range(at, min(at + size, count)) for at in range(0, count, size)]
crew = [threading.Thread(target=work, args=(part,)) for part in parts]
[t.start() for t in crew]
[t.join() for t in crew]
"""


@dataclass(frozen=True)
class Video:
    """What to encode: a segment of moving noise, repeated without encoding again."""

    minutes: int
    gop: int
    codec: str = "h264"
    size: str = "1920x1080"

    @property
    def name(self) -> str:
        size = "" if self.size == "1920x1080" else f"-{self.size}"
        return f"{self.codec}{size}-{self.minutes}min-gop{self.gop}.mp4"

    @property
    def path(self) -> Path:
        return FOLDER / self.name

    @property
    def seconds(self) -> float:
        return self.minutes * SEGMENT_SECONDS


VIDEOS = (
    *(Video(minutes, gop) for minutes in (1, 10, 60) for gop in (60, 250)),
    Video(2, 250, "hevc"),
    Video(1, 250, size="3840x2160"),
)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--only", default="", help="videos with this in their name")
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--exact", action="store_true", help="exact frames against ffmpeg -ss")
    given = asked.parse_args()
    FOLDER.mkdir(exist_ok=True)
    ffmpeg = str(find_ffmpeg().ffmpeg)
    ways = {"ffmpeg -ss x 24": one_by_one(ffmpeg)} if given.exact else peers(ffmpeg)
    print(f"{CPUS} processors, {FRAMES} frames, median of {given.rounds}, seconds (times ours)")
    print(f"{'':<28}" + "".join(f"{name:>20}" for name in ["mediaq", *ways]))
    for video in VIDEOS:
        if given.only not in video.name:
            continue
        make(ffmpeg, video)
        # Round by round, so that what else the machine does falls on all alike.
        ours: list[float] = []
        theirs: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(given.rounds):
            ours.append(asyncio.run(time_ours(video, exact=given.exact)))
            for name, way in ways.items():
                theirs[name].append(time_theirs(way, video))
        own = statistics.median(ours)
        line = f"{video.name:<28}{own:>20.2f}"
        for times in theirs.values():
            took = statistics.median(times)
            line += f"{f'{took:.2f} ({took / own:.2f}x)' if took < FAILED else 'failed':>20}"
        print(line, flush=True)


def make(ffmpeg: str, video: Video) -> None:
    if video.path.exists():
        return
    segment = FOLDER / f"segment-{video.codec}-{video.size}-gop{video.gop}.mp4"
    quiet = [ffmpeg, "-v", "error", "-nostdin", "-y"]
    if not segment.exists():
        picture = f"testsrc2=s={video.size}:r={RATE},noise=alls=8:allf=t"
        inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=440"]
        key = f"keyint={video.gop}:min-keyint={video.gop}:scenecut=0"
        codec = {
            "h264": ["libx264", "-preset", "veryfast", "-crf", "26", "-x264-params", key],
            "hevc": ["libx265", "-preset", "ultrafast", "-x265-params", f"{key}:log-level=error"],
        }[video.codec]
        rest = ["-pix_fmt", "yuv420p", "-c:a", "aac", "-t", str(SEGMENT_SECONDS)]
        run([*quiet, *inputs, "-c:v", *codec, *rest, str(segment)])
    repeat = ["-stream_loop", str(video.minutes - 1), "-i", str(segment), "-c", "copy"]
    run([*quiet, *repeat, "-movflags", "+faststart", str(video.path)])


def peers(ffmpeg: str) -> dict[str, Way]:
    """Give the peers that are installed, and the floor."""

    def limit(video: Video, _folder: Path) -> None:
        run([sys.executable, "-c", LIMIT, str(video.path), str(FRAMES), str(CPUS)])

    def nokey(video: Video, folder: Path) -> None:
        # One keyframe every so many seconds; a sheet needs the length to be known beforehand.
        every = video.seconds / FRAMES
        pick = f"select='isnan(prev_selected_t)+gte(t-prev_selected_t,{every})'"
        tiles = f"{pick},scale={WIDTH}:-1,tile={COLUMNS}x{ROWS}:padding=6:margin=12"
        skip = [ffmpeg, "-v", "error", "-y", "-skip_frame", "nokey", "-i", str(video.path)]
        sheet = str(folder / "sheet.jpg")
        run([*skip, "-vf", tiles, "-frames:v", "1", "-vsync", "0", "-an", sheet])

    def vcsi(video: Video, folder: Path) -> None:
        grid = ["-g", f"{COLUMNS}x{ROWS}", "-w", str(WIDTH * COLUMNS)]
        run(["vcsi", str(video.path), *grid, "-o", str(folder / "sheet.jpg")])

    def mtn(video: Video, folder: Path) -> None:
        grid = ["-c", str(COLUMNS), "-r", str(ROWS), "-w", str(WIDTH * COLUMNS), "-h", "32"]
        run(["mtn", *grid, "-P", "-q", "-O", str(folder), str(video.path)])

    ways: dict[str, Way] = {"limit": limit}
    for name, way in (("vcsi", vcsi), ("mtn", mtn)):
        if shutil.which(name):
            ways[name] = way
        else:
            print(f"{name} is not on PATH: left out")
    return ways | {"ffmpeg nokey + tile": nokey, "ffmpeg -ss x 24": one_by_one(ffmpeg)}


def one_by_one(ffmpeg: str) -> Way:
    """Give a process for each frame, as many at a time as there are processors."""

    def way(video: Video, folder: Path) -> None:
        def one(number: int) -> None:
            when = (number + 0.5) * video.seconds / FRAMES
            source = ["-ss", f"{when:.3f}", "-i", str(video.path)]
            small = ["-frames:v", "1", "-vf", f"scale={WIDTH}:-1", str(folder / f"{number}.jpg")]
            run([ffmpeg, "-v", "error", "-nostdin", *source, *small])

        with ThreadPoolExecutor(CPUS) as pool:
            list(pool.map(one, range(FRAMES)))

    return way


async def time_ours(video: Video, *, exact: bool) -> float:
    media = LocalMedia()
    options = Options(grid=f"{COLUMNS}x{ROWS}", thumb_width=WIDTH, exact=exact)
    probe = await media.probe(video.path)

    async def nobody(_part: float, _doing: str) -> None: ...

    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        made = await media.contact_sheets(
            video.path,
            Path(folder),
            options=options,
            probe=probe,
            title=video.name,
            progress=nobody,
        )
        took = time.perf_counter() - begin
    different = len({frame.seconds for frame in made.frames})
    assert different == FRAMES, f"{different} different frames"
    return took


def time_theirs(way: Way, video: Video) -> float:
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        try:
            way(video, Path(folder))
        except subprocess.CalledProcessError:
            return FAILED
        return time.perf_counter() - begin


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    main()
