"""From a decoded frame to a small upright picture with true colours."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO

from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from PIL import Image

from mediaq.media.child.judge import Look, look
from mediaq.media.child.orientation import QUARTER, upright
from mediaq.media.child.tone import CURVES, mapped

if TYPE_CHECKING:
    from pathlib import Path

HD_HEIGHT = 720
UNSPECIFIED = 2
JPEG_QUALITY = 87
WEBP_QUALITY = 84
TURNS = {
    QUARTER: Image.Transpose.ROTATE_270,
    2 * QUARTER: Image.Transpose.ROTATE_180,
    3 * QUARTER: Image.Transpose.ROTATE_90,
}
SUFFIXES = {"jpeg": "jpg", "webp": "webp", "png": "png"}

# Greys so close that a picture one sees all through is as good as blank.
CHECKER = (140, 160)
SQUARE = 8
OPAQUE = 255

_threads = threading.local()


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture on disk, still in memory if there is room, and how much there is to see in it."""

    path: Path
    image: Image.Image | None
    look: Look


def picture(frame: VideoFrame, width: int, height: int) -> Image.Image:
    """Scale ``frame`` to ``width`` x ``height`` as shown: turned, mirrored, square pixels.

    Of interlaced fields one is taken, and what can be seen through lies on a checker.
    """
    way = upright(frame)
    if way.degrees % (2 * QUARTER):
        width, height = height, width
    assumed = _assumed(frame)
    if frame.interlaced_frame:
        frame = one_field(frame)
    wide = frame.width > width
    see_through = any(part.is_alpha for part in frame.format.components) or frame.format.has_palette
    small = _reformatter().reformat(
        frame,
        width,
        height,
        "rgba" if see_through else "rgb24",
        src_colorspace=assumed if frame.colorspace == UNSPECIFIED else None,
        interpolation=Interpolation.AREA if wide else Interpolation.BICUBIC,
        threads=1,
    )
    image: Image.Image = small.to_image() if not see_through else on_checker(small)  # type: ignore[no-untyped-call]
    if frame.color_trc in CURVES:
        image = mapped(image, frame.color_trc)
    if way.mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if way.degrees:
        image = image.transpose(TURNS[way.degrees])
    return image


def _assumed(frame: VideoFrame) -> int | None:
    """Say what untagged video is: BT.709 from HD upwards, as players take it."""
    if frame.color_trc in CURVES:
        return int(Colorspace.BT2020)
    return int(Colorspace.ITU709) if frame.height >= HD_HEIGHT else None


def one_field(frame: VideoFrame) -> VideoFrame:
    """Take the upper field of an interlaced frame: half the lines, of one moment only."""
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
    )
    field, sink = graph.add("field", "type=top"), graph.add("buffersink")
    source.link_to(field)
    field.link_to(sink)
    graph.configure()
    source.push(frame)
    pulled = sink.pull()
    return pulled if isinstance(pulled, VideoFrame) else frame


def on_checker(frame: VideoFrame) -> Image.Image:
    """Lay an RGBA frame on squares of two greys, as picture editors do."""
    plane = frame.planes[0]
    size = (frame.width, frame.height)
    image = Image.frombuffer("RGBA", size, bytes(plane), "raw", "RGBA", plane.line_size, 1)
    if image.getchannel("A").getextrema()[0] == OPAQUE:
        return image.convert("RGB")
    squares = Image.new("L", (-(-image.width // SQUARE), -(-image.height // SQUARE)))
    squares.putdata([
        CHECKER[(x + y) % 2] for y in range(squares.height) for x in range(squares.width)
    ])  # fmt: skip
    whole = (squares.width * SQUARE, squares.height * SQUARE)
    ground = squares.resize(whole, Image.Resampling.NEAREST).crop((0, 0, *size))
    return Image.alpha_composite(ground.convert("RGBA"), image).convert("RGB")


def _reformatter() -> VideoReformatter:
    """Keep one scaler for each thread: setting it up costs more than a small picture."""
    if not hasattr(_threads, "scaler"):
        _threads.scaler = VideoReformatter()
    scaler: VideoReformatter = _threads.scaler
    return scaler


def save(image: Image.Image, path: Path | BinaryIO, kind: str) -> None:
    """Write ``image`` in the format ``kind``: jpeg, webp or png."""
    if kind == "jpeg":
        image.save(path, "JPEG", quality=JPEG_QUALITY, subsampling="4:2:0", optimize=False)
    elif kind == "webp":
        image.save(path, "WEBP", quality=WEBP_QUALITY, method=2)
    else:
        image.save(path, "PNG", compress_level=6)


def shoot(image: Image.Image, path: Path, kind: str, *, keep: bool) -> Shot:
    """Save ``image`` and measure it."""
    save(image, path, kind)
    return Shot(path, image if keep else None, look(image))
