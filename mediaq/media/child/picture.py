"""From a decoded frame to a small upright picture with true colours."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import av.error
from av.video.reformatter import (
    ColorPrimaries,
    Colorspace,
    ColorTrc,
    Interpolation,
    VideoReformatter,
)
from PIL import Image

from mediaq.media.child.orientation import QUARTER, upright

if TYPE_CHECKING:
    from pathlib import Path

    from av.video.frame import VideoFrame

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

# Transfer curves of high dynamic range: PQ (SMPTE ST 2084) and HLG (ARIB STD-B67).
HDR = frozenset({int(ColorTrc.SMPTE2084), int(ColorTrc.ARIB_STD_B67)})

_threads = threading.local()
_toning = threading.Lock()
_toner = VideoReformatter()


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture on disk, still in memory if there is room, and how much there is to see in it.

    ``light`` is the mean and ``contrast`` the standard deviation of its grey values, 0 to 255.
    """

    path: Path
    image: Image.Image | None
    light: float
    contrast: float


def picture(frame: VideoFrame, width: int, height: int) -> Image.Image:
    """Scale ``frame`` to ``width`` x ``height`` as shown: turned, mirrored, square pixels."""
    way = upright(frame)
    if way.degrees % (2 * QUARTER):
        width, height = height, width
    interpolation = Interpolation.AREA if frame.width > width else Interpolation.BICUBIC
    if frame.color_trc in HDR:
        # Shrunk first: mapping bright light down is dear for each pixel.
        deep = "yuv420p10le"
        frame = _reformatter().reformat(
            frame, width, height, deep, interpolation=interpolation, threads=1
        )
        frame = _toned(frame)
    # Untagged video is BT.709 from HD upwards, as players take it.
    assumed = Colorspace.ITU709 if frame.height >= HD_HEIGHT else None
    small = _reformatter().reformat(
        frame,
        width,
        height,
        "rgb24",
        src_colorspace=assumed if frame.colorspace == UNSPECIFIED else None,
        interpolation=interpolation,
        threads=1,
    )
    image: Image.Image = small.to_image()  # type: ignore[no-untyped-call]
    if way.mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if way.degrees:
        image = image.transpose(TURNS[way.degrees])
    return image


def _toned(frame: VideoFrame) -> VideoFrame:
    """Map high dynamic range to what an ordinary screen shows, with swscale's own tone mapping.

    One scaler serves all threads, because setting up its table takes about a second.
    """
    with _toning:
        try:
            return _toner.reformat(
                frame,
                format="rgb24",
                threads=1,
                dst_color_trc=ColorTrc.BT709,
                dst_color_primaries=ColorPrimaries.BT709,
            )
        except av.error.FFmpegError:
            return frame


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
    counts = image.convert("L").histogram()
    total = sum(counts)
    light = sum(grey * n for grey, n in enumerate(counts)) / total
    spread = sum((grey - light) ** 2 * n for grey, n in enumerate(counts)) / total
    return Shot(path, image if keep else None, light, spread**0.5)
