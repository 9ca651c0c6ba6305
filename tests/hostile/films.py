"""Films that are broken, lie, or are merely rare; each is made by code in a moment."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image

from tests.unit.media.conftest import HEIGHT, WIDTH, Film, encode, even, numbered

HOUR = 3600
Make = Callable[[Path], Path]
"""Makes one hostile file in an empty folder."""


def film(name: str, **wanted: object) -> Make:
    """An ordinary film of numbered frames."""

    def make(folder: Path) -> Path:
        return encode(folder / name, Film(**{"stamps": even(100), **wanted}))  # type: ignore[arg-type]

    return make


def raw(name: str, content: bytes) -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    return make


def changed(make: Make, change: Callable[[bytes], bytes]) -> Make:
    """What ``make`` makes, with its bytes changed."""

    def made(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(change(path.read_bytes()))
        return path

    return made


def cut(part: float) -> Callable[[bytes], bytes]:
    return lambda content: content[: int(len(content) * part)]


def hole(start: float, end: float) -> Callable[[bytes], bytes]:
    """Overwrite a part with bytes that mean nothing."""

    def change(content: bytes) -> bytes:
        first, last = int(len(content) * start), int(len(content) * end)
        return content[:first] + b"\xa5" * (last - first) + content[last:]

    return change


def without(box: bytes) -> Callable[[bytes], bytes]:
    """Give an mp4 box a name that no reader knows."""
    return lambda content: content.replace(box, b"skip")


def field(box: bytes, offset: int, value: bytes) -> Callable[[bytes], bytes]:
    """Write ``value`` so many bytes after the name of every such box."""

    def change(content: bytes) -> bytes:
        changed, at = bytearray(content), content.find(box)
        assert at >= 0
        while at >= 0:
            place = at + len(box) + offset
            changed[place : place + len(value)] = value
            at = content.find(box, at + 1)
        return bytes(changed)

    return change


def lasting(seconds: float) -> Callable[[bytes], bytes]:
    """Let an mp4 say that it lasts this long, in its head and in each track."""

    def change(content: bytes) -> bytes:
        for box, scale_at in ((b"mvhd", 12), (b"mdhd", 12)):
            at = content.find(box) + len(box)
            (scale,) = struct.unpack(">I", content[at + scale_at : at + scale_at + 4])
            ticks = min(round(seconds * scale), 0xFFFFFFFF)
            content = field(box, scale_at + 4, struct.pack(">I", ticks))(content)
        return content

    return change


def says_mkv(seconds: float) -> Callable[[bytes], bytes]:
    """Let a Matroska file say that it lasts this long."""
    return field(b"\x44\x89\x88", 0, struct.pack(">d", seconds * 1000))


def samples(count: int) -> Callable[[bytes], bytes]:
    """Let an mp4 say that it has so many frames, all of one size."""

    def change(content: bytes) -> bytes:
        content = field(b"stsz", 4, struct.pack(">II", 100, count))(content)
        return field(b"stts", 8, struct.pack(">II", count, 1))(content)

    return change


def in_codec(
    name: str, codec: str, pixels: str, size: tuple[int, int] = (WIDTH, HEIGHT), count: int = 10
) -> Make:
    """A film of numbered frames in a rare codec, pixel format or size."""

    def make(folder: Path) -> Path:
        with av.open(str(folder / name), "w") as out:
            quick = {"preset": "ultrafast", "tune": "zerolatency", "threads": "1"}
            quick = quick if codec == "libx264" else {}
            stream = out.add_stream(codec, rate=25, options=quick)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height = size
            stream.pix_fmt = pixels
            for number in range(count):
                frame = av.VideoFrame.from_image(numbered(number, size)).reformat(format=pixels)
                frame.pts, frame.time_base = number, Fraction(1, 25)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        return folder / name

    return make


def see_through(folder: Path) -> Path:
    """White letters on nothing: frames whose alpha is half empty."""
    with av.open(str(folder / "alpha.mov"), "w") as out:
        stream = out.add_stream("qtrle", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "argb"
        for number in range(5):
            image = numbered(number).convert("RGBA")
            image.putalpha(Image.linear_gradient("L").resize(image.size))
            frame = av.VideoFrame.from_image(image).reformat(format="argb")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return folder / "alpha.mov"


def large(width: int, height: int, name: str = "large.mkv") -> Make:
    """Motion JPEG of one flat picture that is small as a file and huge in memory."""

    def make(folder: Path) -> Path:
        picture = folder / "picture.jpg"
        Image.new("L", (width, height), 128).save(picture)
        with av.open(str(folder / name), "w") as out:
            stream = out.add_stream("mjpeg", rate=25)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuvj420p"
            for number in range(3):
                packet = av.Packet(picture.read_bytes())
                packet.stream, packet.is_keyframe = stream, True
                packet.pts = packet.dts = number * 40
                packet.time_base = Fraction(1, 1000)
                out.mux(packet)
        picture.unlink()
        return folder / name

    return make


def growing(folder: Path) -> Path:
    """Raw motion JPEG whose second picture is far larger than the first."""
    path = folder / "growing.mjpeg"
    for size in ((64, 64), (16384, 8192)):
        Image.new("L", size, 128).save(folder / "one.jpg")
        with path.open("ab") as file:
            file.write((folder / "one.jpg").read_bytes())
    (folder / "one.jpg").unlink()
    return path


def with_extras(folder: Path) -> Path:
    """A film with an attached font, an attached program, a cover and a stream of plain data."""
    path = folder / "extras.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        out.add_attachment("../../evil.ttf", "application/x-truetype-font", b"\0\1\0\0" + bytes(99))
        out.add_attachment("run.sh", "application/x-sh", b"#!/bin/sh\ntouch /tmp/pwned\n")
        for number in range(50):
            frame = av.VideoFrame.from_image(numbered(number))
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def with_data(folder: Path) -> Path:
    """A transport stream of a film beside a stream of bytes that no decoder knows."""
    path = folder / "data.ts"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        data = out.add_data_stream("timed_id3")
        for number in range(50):
            frame = av.VideoFrame.from_image(numbered(number))
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
            packet = av.Packet(bytes(range(256)))
            packet.stream, packet.time_base = data, Fraction(1, 25)
            packet.pts = packet.dts = number
            out.mux(packet)
        out.mux(stream.encode(None))
    return path


def crowded(streams: int) -> Make:
    """A film with so many sound streams."""

    def make(folder: Path) -> Path:
        path = folder / "crowded.mkv"
        with av.open(str(path), "w") as out:
            tracks = [out.add_stream("pcm_u8", rate=8000, layout="mono") for _ in range(streams)]
            for track in tracks:
                packet = av.Packet(bytes(80))
                packet.stream, packet.pts, packet.dts = track, 0, 0
                packet.time_base = Fraction(1, 8000)
                out.mux(packet)
        return path

    return make


def gif(frames: int) -> Make:
    """A GIF of so many tiny pictures."""

    def make(folder: Path) -> Path:
        one = (
            b"\x21\xf9\x04\x00\x01\x00\x00\x00"
            b"\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00"
        )
        head = b"GIF89a" + struct.pack("<HH", 16, 16) + b"\x80\x00\x00" + b"\0\0\0\xff\xff\xff"
        path = folder / "many.gif"
        path.write_bytes(head + one * frames + b"\x3b")
        return path

    return make


def wide_gif(folder: Path) -> Path:
    """A GIF of 43 bytes that asks for 4 gigapixels."""
    path = gif(1)(folder)
    content = path.read_bytes()
    path.write_bytes(content[:6] + struct.pack("<HH", 65535, 65535) + content[10:])
    return path


def joined(makes: Iterable[Make]) -> Make:
    """Several files one after the other in one: a polyglot."""

    def make(folder: Path) -> Path:
        content = b""
        for part in makes:
            path = part(folder)
            content += path.read_bytes()
            path.unlink()
        joint = folder / "joined.mp4"
        joint.write_bytes(content)
        return joint

    return make
