"""The cover picture that comes with a piece of music."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import av.error
from PIL import Image, ImageOps

from mediaq.media.child import extent
from mediaq.media.child.container import is_picture, open_media, packets_of

SIDE = 640
QUALITY = 88
TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning)
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")


def cover(job: dict[str, Any], _tell: object) -> dict[str, Any]:
    """Write the source's cover as a JPEG of at most 640 pixels; ``{"picture": None}`` without one.

    A cover that cannot be read is told as a note: the music is none the worse for it.
    """
    with open_media(job["source"], job["name"]) as container:
        covers = [stream for stream in container.streams.video if is_picture(stream)]
        if not covers:
            return {"picture": None}
        try:
            packet = next(packet for packet in packets_of(container, covers[0]) if packet.size)
        except (StopIteration, av.error.FFmpegError, OSError):
            return {"picture": None, "note": "its cover picture is empty"}
        try:
            picture = _picture(bytes(packet))
        except (OSError, ValueError, SyntaxError, *TOO_LARGE):
            return {"picture": None, "note": "its cover picture cannot be read"}
    path = Path(job["into"]) / "cover.jpg"
    picture.save(path, quality=QUALITY, optimize=True)
    return {"picture": {"path": str(path), "width": picture.width, "height": picture.height}}


def _picture(content: bytes) -> Image.Image:
    with warnings.catch_warnings():
        # Pillow only warns of a picture that is too large, and refuses twice that.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        Image.MAX_IMAGE_PIXELS = extent.current().pixels
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            opened.draft("RGB", (SIDE, SIDE))
            upright = ImageOps.exif_transpose(opened)
            upright.thumbnail((SIDE, SIDE))
            return _on_white(upright)


def _on_white(picture: Image.Image) -> Image.Image:
    """A JPEG has no holes: what is clear becomes white."""
    seen = picture.convert("RGBA")
    ground = Image.new("RGBA", seen.size, "white")
    return Image.alpha_composite(ground, seen).convert("RGB")
