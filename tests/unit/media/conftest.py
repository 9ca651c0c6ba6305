"""Small films in which every frame carries its own number as a pattern."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from mediaq.media.local import LocalMedia
from mediaq.model import Options, SheetSet

COLUMNS, ROWS = 6, 2
WIDTH, HEIGHT = 192, 96


def numbered(number: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    """Draw ``number`` as 12 bits, white for one, in 6 x 2 fields."""
    fields = Image.new("L", (COLUMNS, ROWS))
    fields.putdata([235 if number >> bit & 1 else 20 for bit in range(COLUMNS * ROWS)])
    return fields.resize(size, Image.Resampling.NEAREST).convert("RGB")


def read_number(picture: Image.Image) -> int:
    """Read what :func:`numbered` drew, from a picture of any size."""
    grey = picture.convert("L")
    number = 0
    for bit in range(COLUMNS * ROWS):
        x = (bit % COLUMNS + 0.5) * grey.width / COLUMNS
        y = (bit // COLUMNS + 0.5) * grey.height / ROWS
        value = grey.getpixel((int(x), int(y)))
        assert isinstance(value, int)
        number |= (value > 128) << bit
    return number


@dataclass(frozen=True)
class Film:
    """What to encode: ``stamps`` are times of frames in milliseconds, as in ``chapters``."""

    stamps: Sequence[int]
    codec: str = "libx264"
    gop: int = 250
    size: tuple[int, int] = (WIDTH, HEIGHT)
    rate: int = 25
    rotation: int = 0
    mirrored: bool = False
    pixel: Fraction = Fraction(1)
    sound_seconds: float = 0
    settings: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    chapters: tuple[tuple[int, int, str], ...] = ()
    format: str | None = None
    faststart: bool = False
    hdr: bool = False
    picture: Callable[[int], Image.Image] | None = None


def even(count: int, rate: float = 25, start: float = 0) -> list[int]:
    """Give the times in milliseconds of ``count`` frames at a steady rate."""
    return [round((start + i / rate) * 1000) for i in range(count)]


def encode(path: Path, film: Film) -> Path:
    options = {"movflags": "+faststart"} if film.faststart else {}
    with av.open(str(path), "w", format=film.format, options=options) as out:
        out.metadata.update(dict(film.tags))
        out.set_chapters([
            {
                "id": number, "start": start, "end": end, "time_base": Fraction(1, 1000),
                "metadata": {"title": title},
            }
            for number, (start, end, title) in enumerate(film.chapters)
        ])  # fmt: skip
        stream = out.add_stream(film.codec, rate=film.rate, options=_settings(film))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = film.size
        stream.codec_context.gop_size = film.gop
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.sample_aspect_ratio = film.pixel
        stream.pix_fmt = {"gif": "rgb8", "mjpeg": "yuvj420p"}.get(film.codec, "yuv420p")
        if film.hdr:
            stream.codec_context.color_trc = 16
            stream.codec_context.color_primaries = stream.codec_context.colorspace = 9
        if film.rotation or film.mirrored:
            stream.set_display_rotation(-film.rotation, hflip=film.mirrored)
        sound = out.add_stream("aac", rate=16000) if film.sound_seconds else None
        for number, stamp in enumerate(film.stamps):
            draw = film.picture or (lambda n: numbered(n, film.size))
            frame = av.VideoFrame.from_image(draw(number))
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if sound is not None:
            assert isinstance(sound, av.AudioStream)
            _add_silence(out, sound, film.sound_seconds)
    return path


def _settings(film: Film) -> dict[str, str]:
    given = dict(film.settings)
    if film.codec == "libx264":
        given = {"preset": "veryfast", "sc_threshold": "0", "bf": "2", "crf": "18"} | given
    return given


def _add_silence(out: av.container.OutputContainer, sound: av.AudioStream, seconds: float) -> None:
    for i in range(int(seconds * 16000 / 1024)):
        frame = av.AudioFrame("fltp", "mono", 1024)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts, frame.time_base = 16000, i * 1024, Fraction(1, 16000)
        out.mux(sound.encode(frame))
    out.mux(sound.encode(None))


@pytest.fixture
def media() -> LocalMedia:
    return LocalMedia(30)


@pytest.fixture(scope="session", name="encode")
def _encode(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Encode a film once for all tests that ask for the same."""
    made: dict[str, Path] = {}

    def encoded(name: str, **film: Any) -> Path:
        key = repr((name, sorted(film.items(), key=lambda item: item[0])))
        if key not in made:
            made[key] = encode(tmp_path_factory.mktemp("film") / name, Film(**film))
        return made[key]

    return encoded


@pytest.fixture(scope="session", name="even")
def _even() -> Callable[..., list[int]]:
    return even


@pytest.fixture(scope="session")
def read() -> Callable[[SheetSet], list[int]]:
    """Read the numbers of all frames that were written as files."""
    return numbers


@pytest.fixture
def shoot(media: LocalMedia, tmp_path: Path) -> Callable[..., Awaitable[SheetSet]]:
    """Make sheets of a file with the given options."""
    rounds = itertools.count()

    async def nobody(_part: float, _doing: str) -> None: ...

    async def make(path: Path, title: str | None = None, **options: object) -> SheetSet:
        probe = await media.probe(path)
        return await media.contact_sheets(
            path,
            tmp_path / f"made-{next(rounds)}",
            options=Options.model_validate(options),
            probe=probe,
            title=title or path.name,
            progress=nobody,
        )

    return make


def numbers(made: SheetSet) -> list[int]:
    found = []
    for frame in made.frames:
        with Image.open(frame.path) as picture:
            assert picture.size == (frame.width, frame.height)
            found.append(read_number(picture))
    return found
