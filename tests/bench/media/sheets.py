"""Time contact sheets of long videos beside vcsi, mtn and ffmpeg; run by hand.

    python tests/bench/media/sheets.py [--hour] [--rounds 5]

The videos are made once and kept in the system's folder for temporary files. Programs that are
not on PATH are left out with a line that says so. Each figure is the median of wall-clock times,
everything included: start of the process, 24 frames, one sheet of 4 x 6 tiles of 320 pixels.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mediaq.media.ffmpeg import find_ffmpeg
from mediaq.media.local import LocalMedia
from mediaq.model import Options

FOLDER = Path(tempfile.gettempdir()) / "mediaq-bench"
COLUMNS, ROWS, WIDTH = 4, 6, 320
FRAMES = COLUMNS * ROWS
RATE = 30
SEGMENT_SECONDS = 60

Way = Callable[[Path, Path], list[str]]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--hour", action="store_true", help="also a video of 60 minutes")
    asked.add_argument("--rounds", type=int, default=5)
    given = asked.parse_args()
    FOLDER.mkdir(exist_ok=True)
    ffmpeg = str(find_ffmpeg().ffmpeg)
    ways = peers(ffmpeg)
    print(f"{len(os.sched_getaffinity(0))} processors, {FRAMES} frames, median of {given.rounds}")
    print(f"{'seconds (times ours)':<28}" + "".join(f"{name:>22}" for name in ["mediaq", *ways]))
    for label, minutes, gop in videos(hour=given.hour):
        video = make_video(ffmpeg, minutes, gop)
        ours = asyncio.run(time_ours(video, given.rounds))
        line = f"{label:<28}{ours:>22.2f}"
        for way in ways.values():
            theirs = time_theirs(way, video, given.rounds)
            figure = "failed" if theirs is None else f"{theirs:.2f} ({theirs / ours:.1f}x)"
            line += f"{figure:>22}"
        print(line, flush=True)


def videos(*, hour: bool) -> list[tuple[str, int, int]]:
    """Give (label, minutes, frames between keyframes) of the videos to time."""
    listed = [
        ("1080p h264 1 min GOP 250", 1, 250),
        ("1080p h264 10 min GOP 250", 10, 250),
        ("1080p h264 10 min GOP 60", 10, 60),
    ]
    return [*listed, ("1080p h264 60 min GOP 250", 60, 250)] if hour else listed


def make_video(ffmpeg: str, minutes: int, gop: int) -> Path:
    """Encode one minute of moving noise, then repeat it without encoding again."""
    video = FOLDER / f"h264-{minutes}min-gop{gop}.mp4"
    if video.exists():
        return video
    minute = FOLDER / f"minute-gop{gop}.mp4"
    quiet = [ffmpeg, "-v", "error", "-nostdin", "-y"]
    if not minute.exists():
        picture = f"testsrc2=s=1920x1080:r={RATE},noise=alls=8:allf=t"
        inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=440"]
        codec = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "26", "-pix_fmt", "yuv420p"]
        keys = ["-g", str(gop), "-keyint_min", str(gop), "-sc_threshold", "0"]
        length = ["-t", str(SEGMENT_SECONDS)]
        run([*quiet, *inputs, *length, *codec, *keys, "-c:a", "aac", str(minute)])
    repeat = ["-stream_loop", str(minutes - 1), "-i", str(minute), "-c", "copy"]
    run([*quiet, *repeat, "-movflags", "+faststart", str(video)])
    return video


def peers(ffmpeg: str) -> dict[str, Way]:
    """Give the command lines of the peers that are installed."""

    def nokey(video: Path, out: Path) -> list[str]:
        # One keyframe every so many seconds; a sheet needs the length to be known beforehand.
        every = duration(video) / FRAMES
        pick = f"select='isnan(prev_selected_t)+gte(t-prev_selected_t,{every})'"
        tiles = f"{pick},scale={WIDTH}:-1,tile={COLUMNS}x{ROWS}:padding=6:margin=12"
        skip = [ffmpeg, "-v", "error", "-y", "-skip_frame", "nokey", "-i", str(video)]
        return [*skip, "-vf", tiles, "-frames:v", "1", "-vsync", "0", "-an", str(out)]

    def vcsi(video: Path, out: Path) -> list[str]:
        grid = ["-g", f"{COLUMNS}x{ROWS}", "-w", str(WIDTH * COLUMNS)]
        return ["vcsi", str(video), *grid, "-o", str(out)]

    def mtn(video: Path, out: Path) -> list[str]:
        grid = ["-c", str(COLUMNS), "-r", str(ROWS), "-w", str(WIDTH * COLUMNS), "-h", "32"]
        return ["mtn", *grid, "-P", "-q", "-O", str(out.parent), str(video)]

    ways: dict[str, Way] = {}
    for name, way in (("vcsi", vcsi), ("mtn", mtn)):
        if shutil.which(name):
            ways[name] = way
        else:
            print(f"{name} is not on PATH: left out")
    return ways | {"ffmpeg nokey + tile": nokey}


async def time_ours(video: Path, rounds: int) -> float:
    media = LocalMedia()
    options = Options(grid=f"{COLUMNS}x{ROWS}", thumb_width=WIDTH)
    probe = await media.probe(video)

    async def nobody(_part: float, _doing: str) -> None: ...

    times = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            made = await media.contact_sheets(
                video,
                Path(folder),
                options=options,
                probe=probe,
                title=video.name,
                progress=nobody,
            )
            times.append(time.perf_counter() - begin)
            different = len({frame.seconds for frame in made.frames})
            assert different == FRAMES, f"{different} different frames"
    return statistics.median(times)


def time_theirs(way: Way, video: Path, rounds: int) -> float | None:
    times = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            command = way(video, Path(folder) / "sheet.jpg")
            begin = time.perf_counter()
            ended = subprocess.run(command, capture_output=True, check=False)
            times.append(time.perf_counter() - begin)
            if ended.returncode or not any(Path(folder).iterdir()):
                return None
    return statistics.median(times)


def duration(video: Path) -> float:
    """Read the length from the file's name; it was made that way."""
    return int(video.name.split("-")[1].removesuffix("min")) * SEGMENT_SECONDS


def run(command: list[str]) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
