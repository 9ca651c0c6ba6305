"""Every hostile file ends in its verdict, in bounds, and leaves the worker alive and clean."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hostile import documents, films, pictures, playlists, sounds
from tests.hostile.conftest import SECONDS, Outcome, World
from tests.hostile.films import HOUR, Make, changed, cut, field, film, hole, lasting, raw
from tests.unit.media.conftest import Film, encode, even

GIB = 1024**3
MIB = 1024**2
CANARY = "the-canary-sings"
PEAK = 600
"""Most memory of a child, in MiB, whatever the file."""

EITHER = ("completed", "failed")
NO_MEDIA = r"is not a media file that can be read|neither pictures nor sound|is document"


@dataclass(frozen=True)
class Case:
    """A hostile file, how a request for it must end, and the sentence it must end with.

    Where ``verdict`` is EITHER, analysis may know the kind of file or not: it ends in bounds, and
    in a sentence if it fails. ``seconds`` is how long that may take.
    """

    name: str
    make: Make
    verdict: tuple[str, ...] = EITHER
    says: str = r"\w"
    seconds: float = 2 * SECONDS


DONE, REFUSED = ("completed",), ("failed",)
FAST = film("film.mp4", faststart=True)
LONG = film("film.mp4", faststart=True, stamps=even(500), gop=20)
MANY_PIXELS = r"67\.1 megapixels(,| is) the limit \(MEDIAQ_MAX_PIXELS\)"
INTERLACED = (("flags", "+ilme+ildct"),)

FILMS = [
    Case("empty", raw("film.mp4", b""), REFUSED, "film.mp4 is empty"),
    Case("one byte", raw("film.mp4", b"\0"), REFUSED, NO_MEDIA),
    Case("zeros", raw("film.mp4", bytes(MIB)), REFUSED, NO_MEDIA),
    Case("noise", raw("film.mp4", bytes(range(256)) * 999), REFUSED, NO_MEDIA),
    Case("a head alone", raw("film.mp4", b"\0\0\0\x18ftypmp42" + bytes(99)), REFUSED, NO_MEDIA),
    Case("without moov", changed(FAST, films.without(b"moov")), REFUSED, NO_MEDIA),
    Case("cut off, moov first", changed(FAST, cut(0.6)), DONE),
    Case("cut off, moov last", changed(film("film.mp4"), cut(0.6)), REFUSED, NO_MEDIA),
    Case("cut off mkv", changed(film("film.mkv"), cut(0.6)), DONE),
    Case("cut off ts", changed(film("film.ts"), cut(0.6)), DONE),
    Case("cut off avi", changed(film("film.avi"), cut(0.6)), DONE),
    Case("a hole in the middle", changed(LONG, hole(0.4, 0.6)), DONE),
    Case("all pictures broken", changed(film("film.mkv"), hole(0.2, 0.99)), EITHER),
    Case("a sum of two films", films.joined([film("a.mp4"), film("b.mkv")]), DONE),
    # Lengths and rates
    Case("lasts 0 s", changed(FAST, lasting(0)), DONE),
    Case("says 60 h", changed(FAST, lasting(60 * HOUR)), DONE),
    Case("says 100 h", changed(film("film.mkv"), films.says_mkv(100 * HOUR)), DONE),
    Case(
        "says 1000 h",
        changed(film("film.mkv"), films.says_mkv(1000 * HOUR)),
        REFUSED,
        r"says that it lasts 1,?000 h; 168 h is the limit \(MEDIAQ_MAX_DURATION\)",
    ),
    Case("no time between frames", changed(FAST, field(b"stts", 12, bytes(4))), EITHER),
    Case("0 fps", changed(film("film.avi"), field(b"avih", 4, bytes(4))), DONE),
    Case(
        "0 as the unit of time", changed(FAST, field(b"mdhd", 12, bytes(4))), EITHER
    ),
    Case("one frame", film("one.mp4", stamps=[0]), DONE),
    Case("a flash of 0.2 s", film("flash.mp4", stamps=even(5)), DONE),
    Case("55 h of 200 frames", film("long.mp4", stamps=even(200, 1 / 990)), DONE),
    Case("55 h of 200 frames, mkv", film("long.mkv", stamps=even(200, 1 / 990)), DONE),
    Case("begins after 26 h", film("late.ts", stamps=even(50, 25, 26 * HOUR)), DONE),
    Case(
        "says 100 million frames",
        changed(FAST, films.samples(100_000_000)),
        REFUSED,
        r"more than 10,000,000 frames, the limit \(MEDIAQ_MAX_FRAMES\)|needs more memory",
    ),
    Case("says 4 billion frames", changed(FAST, films.samples(0xFFFFFFFF)), EITHER),
    # Pictures
    Case("rotated", film("turned.mp4", rotation=90), DONE),
    Case("anamorphic", film("wide.mp4", pixel=films.Fraction(64, 45)), DONE),
    Case("interlaced", film("field.mp4", settings=INTERLACED), DONE),
    Case("alpha", films.see_through, DONE),
    Case("10 bits of HDR", film("hdr.mp4", hdr=True), DONE),
    Case("10 bits", films.in_codec("deep.mkv", "libx264", "yuv420p10le"), DONE),
    Case("1 x 1", films.in_codec("dot.mkv", "ffv1", "yuv420p", (1, 1)), DONE),
    Case("175 x 97", films.in_codec("odd.mkv", "ffv1", "yuv420p", (175, 97)), DONE),
    Case("16000 x 2", films.in_codec("line.mkv", "ffv1", "yuv420p", (16000, 2)), DONE),
    Case("2 x 16000", films.in_codec("pole.mkv", "libx264", "yuv420p", (2, 16000)), DONE),
    Case("8k x 4k", films.large(8192, 4096), DONE),
    Case(
        "16k x 8k",
        films.large(16384, 8192),
        REFUSED,
        MANY_PIXELS,
    ),
    Case(
        "16k x 8k, h264 that says so only inside",
        films.in_codec("huge.h264", "libx264", "gray", (16384, 8192), count=1),
        REFUSED,
        MANY_PIXELS,
    ),
    Case("grows to 16k x 8k", films.growing, EITHER),
    # Streams
    Case("a font, a program and a film", films.with_extras, DONE),
    Case("a stream of data", films.with_data, DONE),
    Case(
        "300 streams",
        films.crowded(300),
        REFUSED,
        r"more than 200 streams, the limit \(MEDIAQ_MAX_MEDIA_STREAMS\)",
    ),
    Case("100 streams of sound", films.crowded(100)),
    Case("10,000 GIF frames", films.gif(10_000), DONE),
    Case("a GIF of 4 gigapixels", films.wide_gif, REFUSED, "65535 x 65535 pixels; 100 megapixels"),
]  # fmt: skip

SOUNDS = [
    Case("wav that says 4 GiB", sounds.wav(declared=0xFFFFFFFF)),
    Case("wav that says 0 bytes", sounds.wav(declared=0)),
    Case("wav that says more than it has", sounds.wav(declared=10**9)),
    Case("65,535 channels", sounds.wav(channels=65535, bits=8)),
    Case("no channels", sounds.wav(channels=0)),
    Case("4 GHz", sounds.wav(rate=0xFFFFFFFF)),
    Case("0 Hz", sounds.wav(rate=0)),
    Case("1 Hz", sounds.wav(rate=1)),
    Case("samples of 0 bits", sounds.wav(bits=0)),
    Case("samples of 65,535 bits", sounds.wav(bits=65535)),
    Case("blocks of 0 bytes", sounds.wav(align=0)),
    Case("an unknown code", sounds.wav(code=0xBEEF)),
    Case("no sound in it", sounds.wav(content=b"")),
    Case("a tag of 256 MiB", sounds.id3((1 << 28) - 1)),
    Case("a cover of 16 MiB", sounds.flac_with_picture),
]

PICTURES = [
    Case("a PNG of 900 megapixels", pictures.png(30000, 30000)),
    Case("a PNG that says 4 gigapixels", pictures.png(65535, 65535, whole=False)),
    Case("a PNG of no size", pictures.png(0, 0, whole=False)),
    Case("a PNG with a comment of 1 GiB", pictures.png_with_long_text(GIB)),
    Case("a PNG cut off", changed(pictures.png(999, 999), cut(0.5))),
    Case("a JPEG of 16k x 8k", pictures.jpeg(16384, 8192)),
    Case("a JPEG that says 4 gigapixels", pictures.jpeg_head(65500, 65500)),
    Case("a TIFF in a circle", pictures.tiff_in_a_circle),
    Case("a TIFF that says 4 gigapixels", pictures.tiff_of(65535, 65535)),
    Case("a BMP that says 4 exapixels", pictures.bmp(2**31 - 1, -(2**31) + 1)),
]

DOCUMENTS = [
    *(Case(f"a PDF {name}", raw("paper.pdf", text)) for name, text in documents.PDFS.items()),
    Case("a PDF of 1 GiB in 3 KB", documents.pdf_bomb(GIB)),
    Case("a PDF of forms in forms", documents.pdf_nested()),
    Case("a PDF of 100,000 pages", documents.pdf_of_pages(100_000)),
    Case("a docx of 1 GiB", documents.docx_bomb(GIB)),
    Case("a docx of overlapping parts", documents.zip_overlap(5000, 10 * MIB)),
    Case("a docx of laughs", documents.office(text=documents.word(documents.LAUGHS, "&a11;"))),
    Case("a docx that climbs", documents.office(text="", more={"../../../tmp/pwned": b"x"})),
    Case("an SVG of laughs", documents.svg(documents.LAUGHS, "<text>&a11;</text>")),
    Case("an SVG of a light year", documents.svg("", "<rect/>", "9999999999")),
    Case("a mail of 3,000 parts", documents.mail(3000)),
    Case("a text of 64 MiB in one line", raw("long.txt", b"a" * 64 * MIB)),
    Case("a table of a million columns", raw("wide.csv", b"a," * 10**6 + b"\n")),
    Case("tags in tags", raw("deep.html", b"<div>" * 10**6)),
]


def well(world: World, case: Case, outcome: Outcome) -> None:
    """Assert what holds for every file."""
    detail = outcome.detail
    assert detail.status in case.verdict, detail.error_message
    said = detail.error_message
    if detail.status == "failed":
        assert said is not None
        assert re.search(case.says, said), said
        assert len(said) < 400, said
        assert "\n" not in said
        assert "Traceback" not in said
        assert "decoder itself failed" not in said, said
        assert str(world.folder.parent) not in said
        # What is wrong with a file does not change: it is not tried again.
        assert detail.attempt == 1
    else:
        assert said is None
        assert detail.results
    assert outcome.seconds < case.seconds
    assert outcome.peak <= PEAK
    assert not world.left_behind(outcome)


@pytest.mark.parametrize("case", [*FILMS, *SOUNDS, *PICTURES, *DOCUMENTS], ids=lambda c: c.name)
async def test_a_hostile_file_ends_in_its_verdict(world: World, place: Path, case: Case) -> None:
    outcome = await world.analyse(case.make(place))
    well(world, case, outcome)
    assert outcome.peak > 0


# What would read another file, or call an address


@pytest.fixture
def canary(world: World) -> Path:
    """A real film, below the media root too, whose title must not be read by way of another."""
    path = world.folder / "canary.ts"
    return path if path.exists() else encode(path, Film(even(20), tags=(("title", CANARY),)))


@pytest.mark.parametrize("where", playlists.PLACES)
@pytest.mark.parametrize("kind", playlists.TEXTS)
async def test_a_playlist_in_disguise_reads_and_calls_nothing(
    world: World, place: Path, canary: Path, listener: socket.socket, kind: str, where: str
) -> None:
    beside = place / "other.ts"
    beside.write_bytes(canary.read_bytes())
    text = playlists.playlist(
        kind, where, name=beside.name, path=str(canary), port=listener.getsockname()[1]
    )
    trick = place / "holiday.mp4"
    trick.write_text(text)
    outcome = await world.analyse(trick, "video")
    well(world, Case("", raw("", b""), REFUSED, NO_MEDIA), outcome)
    assert CANARY not in outcome.detail.model_dump_json()


def asking(where: str) -> list[Case]:
    """Documents that ask for ``where``."""
    entity = documents.ENTITY.format(where=where)
    image = f'<image xlink:href="{where}" width="9" height="9"/><use xlink:href="{where}#a"/>'
    return [
        Case("docx", documents.office(text=documents.word(entity, "&x;"))),
        Case("svg", documents.svg(entity, "<text>&x;</text>")),
        Case("svg image", documents.svg("", image)),
        Case("html", documents.html(where)),
        Case("pdf", documents.pdf_asking(where)),
    ]


@pytest.mark.parametrize("number", range(len(asking(""))), ids=[c.name for c in asking("")])
async def test_a_document_that_asks_for_another_file_gets_none(
    world: World, place: Path, tmp_path: Path, listener: socket.socket, number: int
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text(CANARY)
    for where in (f"file://{secret}", f"http://127.0.0.1:{listener.getsockname()[1]}/x"):
        case = asking(where)[number]
        outcome = await world.analyse(case.make(place))
        well(world, case, outcome)
        assert CANARY not in outcome.detail.model_dump_json()
        for file in outcome.detail.files:
            assert CANARY.encode() not in Path(file.file_path).read_bytes()


# Names and paths

NAMES = [
    "-i.mp4",
    "--help.mp4",
    "%03d.mp4",
    "a:b.mp4",
    "concat:x|y.mp4",
    'it\'s "quoted" `$(id)`; DROP TABLE x;--.mp4',
    "two\nlines.mp4",
    "a\ttab\x1b[31m.mp4",
    "名前 имя 🎬 \u202emp4.exe.mp4",
    " .mp4",
    "n" * 240 + ".mp4",
]


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_means_nothing(world: World, place: Path, name: str) -> None:
    path = FAST(place).rename(place / name)
    well(world, Case(name, FAST, DONE), await world.analyse(path))


@pytest.mark.parametrize(
    "asked",
    [
        "/etc/passwd",
        "../../../../../../etc/passwd",
        "{place}/../../../../../../../../etc/passwd",
        "{place}/to-passwd",
        "{place}/to-root/etc/passwd",
        "{place}/circle",
        "/proc/self/environ",
        "/dev/zero",
        "{place}/pipe",
        "{place}",
        "{place}/nothing.mp4",
        "concat:{place}/film.mp4|{place}/film.mp4",
        "file:{place}/film.mp4",
        "subfile,,start,0,end,0,,:{place}/film.mp4",
        "http://127.0.0.1/film.mp4",
        "~/.ssh/id_rsa",
    ],
)
async def test_a_path_leads_nowhere_but_to_files_below_the_roots(
    world: World, place: Path, asked: str
) -> None:
    FAST(place)
    (place / "to-passwd").symlink_to("/etc/passwd")
    (place / "to-root").symlink_to("/")
    (place / "circle").symlink_to(place / "circle")
    os.mkfifo(place / "pipe")
    outcome = await world.analyse(asked.format(place=place), "video")
    says = r"is not a file below the media roots|must name a regular file"
    well(world, Case(asked, FAST, REFUSED, says), outcome)


async def test_after_all_that_the_worker_still_works(world: World, place: Path) -> None:
    well(world, Case("ordinary", FAST, DONE), await world.analyse(FAST(place)))
