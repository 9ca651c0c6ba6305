"""Pictures that are small as a file and huge in memory, or broken."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from PIL import Image

from tests.hostile.films import Make, raw


def _chunk(name: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc)


def png(width: int, height: int, *, whole: bool = True, more: bytes = b"") -> Make:
    """A black PNG of one bit per pixel; not ``whole``: its head alone."""

    def make(folder: Path) -> Path:
        head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
        packer = zlib.compressobj(9)
        row = bytes(1 + (width + 7) // 8)
        content = b"".join(packer.compress(row) for _ in range(height)) if whole else b""
        data = _chunk(b"IDAT", content + packer.flush())
        path = folder / "picture.png"
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + more + data + _chunk(b"IEND", b""))
        return path

    return make


def png_with_long_text(size: int) -> Make:
    """A PNG of one pixel whose packed comment is so many bytes long."""
    text = _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(size), 9))
    return png(1, 1, more=text)


def jpeg(width: int, height: int) -> Make:
    """A flat JPEG that is really this large."""

    def make(folder: Path) -> Path:
        Image.new("L", (width, height), 128).save(folder / "photo.jpg")
        return folder / "photo.jpg"

    return make


def jpeg_head(width: int, height: int) -> Make:
    """A JPEG that says how large it is and ends."""
    frame = struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    return raw("photo.jpg", b"\xff\xd8\xff\xc0" + frame + b"\xff\xd9")


def tiff_in_a_circle(folder: Path) -> Path:
    """A TIFF whose second page is its first."""
    entries = struct.pack("<HHII", 256, 3, 1, 1) + struct.pack("<HHII", 257, 3, 1, 1)
    entries += struct.pack("<HHII", 273, 4, 1, 8) + struct.pack("<HHII", 279, 4, 1, 1)
    path = folder / "scan.tif"
    path.write_bytes(
        b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 4) + entries + b"\x08\0\0\0"
    )
    return path


def tiff_of(width: int, height: int) -> Make:
    """A TIFF that says it is this large and holds one strip of nothing."""
    sizes = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (278, height)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in [*sizes, (279, 1)])
    body = struct.pack("<H", len(sizes) + 1) + entries + bytes(4)
    return raw("scan.tif", b"II*\0" + struct.pack("<I", 8) + body)


def bmp(width: int, height: int) -> Make:
    """A BMP of a head alone."""
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return raw("picture.bmp", b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + head)
