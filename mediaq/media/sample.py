"""The demo video: drawn in code, encoded by whatever ffmpeg there is."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import threading
import uuid
from typing import TYPE_CHECKING, Any

import ffmpeg

from mediaq.errors import Unavailable
from mediaq.media import scenery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from PIL import Image

RATE = 20
SCENE_SECONDS = 4
# A chord for each scene, a fifth higher every time, faded in and out.
CHORD = (
    "st(0,2*PI*t*{f});(sin(ld(0))+0.7*sin(1.25*ld(0))+0.6*sin(1.5*ld(0)))"
    "*0.14*min(1,4*mod(t,{s}))*min(1,4*({s}-mod(t,{s})))"
)
PITCH = "(196*pow(2,mod(floor(t/{s})*7,12)/12))"
ENCODERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("libx264", {"preset": "superfast", "crf": 22, "sc_threshold": 0}),
    ("libopenh264", {"b:v": "3M"}),
    ("mpeg4", {"q:v": 4}),
)


async def make_sample(path: Path, ffmpeg: str) -> None:
    """Write the demo video to ``path`` with the program ``ffmpeg``: 36 s, 1280 x 720, with sound.

    The file appears when it is whole. Raises :class:`Unavailable` when the program fails.
    """
    stop = threading.Event()
    try:
        await asyncio.to_thread(_make, path, ffmpeg, stop)
    finally:
        stop.set()


def _make(path: Path, program: str, stop: threading.Event) -> None:
    # Its own name: two demos may make the same sample at once.
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    scenes = scenery.scenes()
    try:
        with _encoder(part, program, len(scenes) * SCENE_SECONDS) as encoder:
            complaint = _feed(encoder, scenes, stop)
        if encoder.returncode:
            msg = "the demo video could not be encoded"
            raise Unavailable(msg, ffmpeg=complaint.decode("utf-8", "replace").splitlines()[-10:])
        if not stop.is_set():
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _encoder(part: Path, program: str, seconds: int) -> subprocess.Popen[bytes]:
    size = f"{scenery.WIDTH}x{scenery.HEIGHT}"
    picture = ffmpeg.input("pipe:", f="rawvideo", pix_fmt="rgb24", s=size, r=RATE)
    pitch = PITCH.format(s=SCENE_SECONDS)
    chord = re.sub(r"([,;])", r"\\\1", CHORD.format(f=pitch, s=SCENE_SECONDS))
    sound = ffmpeg.input(f"aevalsrc={chord}:s=32000:d={seconds}", f="lavfi")
    codec, settings = _codec(program)
    made = ffmpeg.output(
        picture,
        sound,
        f"file:{part}",
        f="mp4",
        vcodec=codec,
        pix_fmt="yuv420p",
        g=RATE * 3 // 4,  # even sheets fall on keyframes then
        acodec="aac",
        movflags="+faststart",
        colorspace="bt709",
        **{"b:a": "96k", "metadata": "title=mediaq demo", **settings},
    ).global_args("-nostdin", "-loglevel", "error")
    command = made.overwrite_output().compile(cmd=program)
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def _codec(program: str) -> tuple[str, dict[str, Any]]:
    """Choose the first of our encoders that this ffmpeg was built with."""
    command = [program, "-hide_banner", "-encoders"]
    try:
        known = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError) as error:
        msg = f"ffmpeg cannot be run: {error}"
        raise Unavailable(msg) from None
    return next(((name, how) for name, how in ENCODERS if f" {name} " in known), ENCODERS[-1])


def _feed(
    encoder: subprocess.Popen[bytes],
    scenes: Iterable[Callable[[int], Iterator[Image.Image]]],
    stop: threading.Event,
) -> bytes:
    """Draw and hand over frame after frame; what ffmpeg complained of comes back."""
    assert encoder.stdin is not None  # noqa: S101 - it was asked for
    with contextlib.suppress(BrokenPipeError):
        for scene in scenes:
            for image in scene(RATE * SCENE_SECONDS):
                if stop.is_set():
                    encoder.kill()
                    break
                encoder.stdin.write(image.tobytes())
    return encoder.communicate()[1]
