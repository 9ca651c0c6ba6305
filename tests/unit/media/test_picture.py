"""True colours, one moment, no cover: HDR, interlaced, see-through and many-streamed files."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Awaitable, Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest
from PIL import Image

from mediaq.media.child import tone
from mediaq.media.ffmpeg import find_ffmpeg
from mediaq.media.local import LocalMedia
from mediaq.model import SheetSet

Encode = Callable[..., Path]
Even = Callable[..., list[int]]
Shoot = Callable[..., Awaitable[SheetSet]]


def pixel(path: Path, x: float, y: float) -> tuple[int, ...]:
    with Image.open(path) as opened:
        found = opened.convert("RGB").getpixel((int(x * opened.width), int(y * opened.height)))
    assert isinstance(found, tuple)
    return found


@pytest.mark.parametrize(
    ("curve", "signal", "grey"),
    [
        # cd/m2 of BT.2408: black, 26 (18 % grey), 203 (diffuse white), 1000
        (tone.PQ, 0.0, 0),
        (tone.PQ, 0.38, 109),
        (tone.PQ, 0.58, 225),
        (tone.PQ, 0.7518, 250),
        (tone.HLG, 0.0, 0),
        (tone.HLG, 0.38, 109),
        (tone.HLG, 0.75, 225),
        (tone.HLG, 1.0, 254),
    ],
)
def test_grey_stays_grey_and_white_looks_white(curve: int, signal: float, grey: int) -> None:
    shown = tone.mapped(Image.new("RGB", (4, 4), (round(signal * 255),) * 3), curve).getpixel(
        (1, 1)
    )
    assert isinstance(shown, tuple)
    assert max(shown) - min(shown) <= 4
    assert sum(shown) / 3 == pytest.approx(grey, abs=5)


def test_brighter_is_never_shown_darker() -> None:
    for curve in tone.CURVES:
        ramp = Image.linear_gradient("L").convert("RGB")
        shown = tone.mapped(ramp, curve).convert("L")
        column = [shown.getpixel((0, y)) for y in range(256)]
        falls = [a - b for a, b in itertools.pairwise(column)]  # type: ignore[operator]
        assert max(falls) <= 2


@pytest.mark.parametrize("interlaced", [False, True])
async def test_of_two_fields_one_is_shown(
    shoot: Shoot, tmp_path: Path, *, interlaced: bool
) -> None:
    """Even lines show a white bar on the left, odd ones on the right, as in quick motion."""
    whole = Image.new("RGB", (320, 180))
    for y in range(180):
        x = 40 if y % 2 == 0 else 240
        whole.paste("white", (x, y, x + 40, y + 1))
    whole.save(tmp_path / "comb.png")
    film = tmp_path / "film.mp4"
    fields = ["-flags", "+ilme+ildct", "-x264-params", "tff=1"] if interlaced else []
    command = [str(find_ffmpeg().ffmpeg), "-v", "error", "-loop", "1"]
    command += ["-i", str(tmp_path / "comb.png"), "-t", "1", "-pix_fmt", "yuv420p", "-qp", "5"]
    subprocess.run([*command, "-c:v", "libx264", *fields, str(film)], check=True)  # noqa: ASYNC221
    made = await shoot(film, frames=1, thumb_width=160, format="png")
    left, right = (pixel(made.frames[0].path, x, 0.5)[0] for x in (60 / 320, 260 / 320))
    if interlaced:
        assert left > 230
        assert right < 25
    else:
        assert left == pytest.approx(right, abs=40)


@pytest.mark.parametrize("codec", ["qtrle", "libvpx-vp9"])
async def test_what_is_transparent_lies_on_a_checker(
    shoot: Shoot, tmp_path: Path, codec: str
) -> None:
    half = Image.new("RGBA", (192, 96), (255, 0, 0, 255))
    half.paste((0, 0, 0, 0), (96, 0, 192, 96))
    path = tmp_path / ("film.mov" if codec == "qtrle" else "film.webm")
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = half.size
        stream.pix_fmt = "argb" if codec == "qtrle" else "yuva420p"
        if codec != "qtrle":
            stream.options = {"auto-alt-ref": "0", "deadline": "realtime", "cpu-used": "8"}
        for number in range(10):
            frame = av.VideoFrame(192, 96, "rgba")
            frame.planes[0].update(half.tobytes())
            frame.pts, frame.time_base = number, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    made = await shoot(path, frames=2, format="png", thumb_width=192)
    first = made.frames[0].path
    red, green, _ = pixel(first, 0.2, 0.5)
    assert red > 200
    assert green < 60
    seen = {pixel(first, x / 192, 0.5)[0] // 5 for x in range(110, 190)}
    assert 140 // 5 in seen
    assert 160 // 5 in seen


async def test_a_cover_is_never_taken_for_the_film(
    encode: Encode, even: Even, shoot: Shoot, media: LocalMedia, tmp_path: Path
) -> None:
    film = encode("gop25.mp4", stamps=even(600), gop=25)
    cover = tmp_path / "cover.png"
    Image.new("RGB", (1400, 1400), "red").save(cover)
    ffmpeg = [str(find_ffmpeg().ffmpeg), "-v", "error", "-y"]
    both = ["-i", str(cover), "-i", str(film), "-map", "0", "-map", "1", "-c:v:1", "copy"]
    for name, way in (
        ("declared.mp4", ["-c:v:0", "mjpeg", "-disposition:v:0", "attached_pic"]),
        ("plain.mp4", ["-c:v:0", "mjpeg", "-disposition:v:0", "default"]),
        ("plain.mkv", ["-c:v:0", "png", "-disposition:v:0", "default"]),
    ):
        path = tmp_path / name
        subprocess.run([*ffmpeg, *both, *way, str(path)], check=True)  # noqa: ASYNC221
        assert (await media.probe(path)).video_codec == "h264"
        made = await shoot(path, frames=4)
        assert len(made.frames) == 4
        assert made.tile_height == 160


async def test_an_animated_picture_alone_is_still_a_film(
    encode: Encode, even: Even, shoot: Shoot
) -> None:
    made = await shoot(encode("motion.avi", stamps=even(50), codec="mjpeg", gop=1), frames=4)
    assert len(made.frames) == 4
