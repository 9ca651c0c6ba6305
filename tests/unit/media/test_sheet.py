"""What sheets look like: shape, way up, letters, limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from mediaq.errors import Rejected
from mediaq.media.caption import amount, length
from mediaq.media.child import lettering
from mediaq.media.child.chapters import marks
from mediaq.media.child.layout import MAX_AREA, MAX_SIDE, lay_out
from mediaq.media.child.refusal import Refusal
from mediaq.media.local import LocalMedia
from mediaq.model import SheetSet
from tests.unit.media.conftest import read_number

Encode = Callable[..., Path]
Even = Callable[..., list[int]]
Shoot = Callable[..., Awaitable[SheetSet]]

CORNERS = {"red": (0, 0), "green": (1, 0), "blue": (1, 1), "white": (0, 1)}


def quarters(_number: int = 0) -> Image.Image:
    """Draw red, green, blue and white, clockwise from the upper left."""
    picture = Image.new("RGB", (2, 2))
    for colour, at in CORNERS.items():
        picture.paste(colour, (*at, at[0] + 1, at[1] + 1))
    return picture.resize((192, 96), Image.Resampling.NEAREST)


def corners(path: Path) -> list[str]:
    """Name the colours of a picture clockwise from the upper left."""
    names = []
    with Image.open(path) as opened:
        small = opened.convert("RGB").resize((2, 2), Image.Resampling.BOX)
    for at in CORNERS.values():
        pixel = small.getpixel(at)
        assert isinstance(pixel, tuple)
        bright = tuple(value > 100 for value in pixel)
        names.append({(1, 1, 1): "white", (1, 0, 0): "red", (0, 0, 1): "blue"}.get(bright, "green"))
    return names


@pytest.mark.parametrize(
    ("rotation", "mirrored", "seen"),
    [
        (0, False, ["red", "green", "blue", "white"]),
        (90, False, ["white", "red", "green", "blue"]),
        (180, False, ["blue", "white", "red", "green"]),
        (270, False, ["green", "blue", "white", "red"]),
        (0, True, ["green", "red", "white", "blue"]),
    ],
)
async def test_pictures_stand_upright(
    encode: Encode, even: Even, shoot: Shoot, rotation: int, *, mirrored: bool, seen: list[str]
) -> None:
    film = encode("t.mp4", stamps=even(10), rotation=rotation, mirrored=mirrored, picture=quarters)
    made = await shoot(film, frames=1, thumb_width=96)
    frame = made.frames[0]
    assert corners(frame.path) == seen
    upright = rotation % 180 == 0
    assert (frame.width, frame.height) == ((96, 48) if upright else (96, 192))


async def test_pixels_that_are_not_square_widen_the_tile(
    encode: Encode, even: Even, shoot: Shoot
) -> None:
    made = await shoot(encode("wide.mp4", stamps=even(10), pixel=Fraction(2)), thumb_width=200)
    assert (made.tile_width, made.tile_height) == (200, 50)


@pytest.mark.parametrize("size", [(1024, 16), (16, 1024)])
async def test_extreme_shapes_get_tiles_of_a_sane_shape(
    encode: Encode, even: Even, shoot: Shoot, size: tuple[int, int]
) -> None:
    made = await shoot(encode("thin.mp4", stamps=even(4), size=size), thumb_width=128, frames=2)
    assert 1 / 3 < made.tile_width / made.tile_height < 7
    frame = made.frames[0]
    assert frame.width / frame.height == pytest.approx(size[0] / size[1], rel=0.3)


async def test_time_stamps_change_only_a_corner_of_each_tile(
    encode: Encode, even: Even, shoot: Shoot
) -> None:
    film = encode("film.mp4", stamps=even(100))
    sheets = []
    for timestamps in (True, False):
        made = await shoot(film, grid="1x1", format="png", timestamps=timestamps)
        with Image.open(made.sheets[0].path) as picture:
            sheets.append(picture.convert("RGB"))
    box = ImageChops.difference(*sheets).getbbox()
    assert box is not None
    assert box[0] > sheets[0].width * 0.7
    assert box[1] > sheets[0].height * 0.7


async def test_high_dynamic_range_is_not_shown_dark(
    encode: Encode, even: Even, shoot: Shoot
) -> None:
    """Diffuse white is 58 % of the PQ signal (ITU-R BT.2408), and shall look white."""

    def white(_number: int) -> Image.Image:
        return Image.new("RGB", (192, 96), (148, 148, 148))

    seen = []
    for hdr in (False, True):
        film = encode("bright.mp4", stamps=even(5), picture=white, hdr=hdr)
        with Image.open((await shoot(film, frames=1)).frames[0].path) as picture:
            grey = picture.convert("L").getpixel((50, 50))
        assert isinstance(grey, int)
        seen.append(grey)
    assert seen[0] == pytest.approx(148, abs=6)
    assert seen[1] > 215


@pytest.mark.parametrize("kind", ["jpeg", "webp", "png"])
async def test_every_format_is_what_it_says(
    encode: Encode, even: Even, shoot: Shoot, kind: str
) -> None:
    made = await shoot(encode("film.mp4", stamps=even(100)), format=kind)
    for path in (made.sheets[0].path, made.frames[0].path, made.thumbnail.path):
        with Image.open(path) as picture:
            assert picture.format == kind.upper()


async def test_the_same_file_gives_the_same_sheet(encode: Encode, even: Even, shoot: Shoot) -> None:
    film = encode("film.mp4", stamps=even(100))
    first, second = await shoot(film), await shoot(film)
    assert first.sheets[0].path.read_bytes() == second.sheets[0].path.read_bytes()


async def test_the_thumbnail_shows_something(encode: Encode, even: Even, shoot: Shoot) -> None:
    """Only the frame at two thirds is neither black nor plain."""

    def picture(number: int) -> Image.Image:
        return quarters() if 60 <= number < 75 else Image.new("RGB", (192, 96))

    film = encode("dark.mp4", stamps=even(100), gop=5, picture=picture)
    made = await shoot(film, frames=6)
    assert corners(made.thumbnail.path) == ["red", "green", "blue", "white"]


@pytest.mark.parametrize(
    "title",
    ["x" * 500 + ".mp4", "line\nbreak\x00\x1b[31m\u202e.mp4", "名前.mp4", "🎬", "", "\udcff.mp4"],
)
async def test_no_title_spoils_the_sheet(
    encode: Encode, even: Even, shoot: Shoot, title: str
) -> None:
    film = encode("film.mp4", stamps=even(100))
    plain, odd = await shoot(film), await shoot(film, title=title or "?")
    assert plain.sheets[0].width == odd.sheets[0].width
    assert plain.sheets[0].height == odd.sheets[0].height


def test_a_long_name_loses_its_middle_and_keeps_its_ending() -> None:
    letters = lettering.font(20)
    short = lettering.shorten("a" * 300 + "-part-2.mp4", letters, 300)
    assert letters.getlength(short) <= 300
    assert short.startswith("aaa")
    assert "…" in short
    assert short.endswith(".mp4")


def test_letters_that_no_font_has_become_one_mark() -> None:
    assert lettering.spell("a\U000f0000\U000f0001b", lettering.font(20)) == "a?b"
    assert lettering.clean(" a\n\tb\u202e\x00c ") == "a b c"


@pytest.mark.parametrize(("count", "grid"), [(1, (1, 1)), (3, (3, 1)), (6, (4, 2))])
async def test_a_sheet_with_fewer_frames_than_tiles_is_only_as_large_as_it_must(
    encode: Encode, even: Even, shoot: Shoot, count: int, grid: tuple[int, int]
) -> None:
    made = await shoot(encode("few.mp4", stamps=even(count)), grid="4x6")
    sheet = made.sheets[0]
    layout = lay_out(*grid, 320, (192, 96))
    assert (sheet.columns, sheet.rows, sheet.frame_count) == (*grid, count)
    assert sheet.width == layout.width
    with Image.open(sheet.path) as picture:
        assert picture.size == (sheet.width, sheet.height)


async def test_ten_hours_and_96_tiles(encode: Encode, shoot: Shoot) -> None:
    stamps = [i * 10_000 for i in range(3600)]
    film = encode("long.mp4", stamps=stamps, size=(64, 32), gop=20)
    made = await shoot(film, grid="8x12", thumb_width=64)
    assert (made.sheets[0].columns, made.sheets[0].rows) == (8, 12)
    assert len({frame.seconds for frame in made.frames}) == 96
    assert made.frames[-1].seconds > 36000 * 0.98
    assert made.notes == ()


async def test_chapters_are_told_and_marked_where_they_begin(
    encode: Encode, even: Even, shoot: Shoot, media: LocalMedia
) -> None:
    parts = ((0, 1300, "Opening"), (1300, 4000, "The \u202eend"))
    for name in ("parts.mp4", "parts.mkv"):
        plain = encode(name, stamps=even(100), gop=5)
        film = encode(name, stamps=even(100), gop=5, chapters=parts)
        told = (await media.probe(film)).chapters
        assert [(c.start_seconds, c.end_seconds) for c in told] == [(0, 1.3), (1.3, 4)]
        assert told[0].title == "Opening"
        tiles = []
        for path in (plain, film):
            made = await shoot(path, grid="4x1", format="png", title="x")
            with Image.open(made.sheets[0].path) as picture:
                tiles.append(picture.convert("RGB"))
        width = tiles[0].width // 4
        changed = []
        for i in range(4):
            box = (i * width, tiles[0].height - 150, (i + 1) * width, tiles[0].height)
            pair = (tile.crop(box) for tile in tiles)
            changed.append(ImageChops.difference(*pair).getbbox() is not None)
        assert changed == [True, True, False, False]


def test_a_chapter_is_marked_once_and_has_a_name() -> None:
    chapters = [{"start_seconds": s, "title": t} for s, t in ((60, None), (10, "a"), (62, "c"))]
    assert marks(chapters, [0, 10, 20, 61, 70]) == ["", "a", "", "Chapter 2", "c"]
    assert marks([], [1, 2]) == ["", ""]


async def test_the_preview_moves_through_the_whole_video(
    encode: Encode, even: Even, shoot: Shoot
) -> None:
    film = encode("gop25.mp4", stamps=even(600), gop=25)
    made = await shoot(film, frames=30, thumb_width=640)
    assert made.preview is not None
    with Image.open(made.preview.path) as moving:
        assert moving.size == (made.preview.width, made.preview.height) == (320, 160)
        assert getattr(moving, "n_frames", 1) == 8
        shown = []
        for number in range(8):
            moving.seek(number)
            shown.append(read_number(moving))
    assert shown == sorted(set(shown))
    assert shown[-1] > 500
    assert made.preview.duration_seconds == 4
    assert made.preview.path.stat().st_size < 300_000
    single = await shoot(encode("one.mp4", stamps=even(1)))
    assert single.preview is None


def test_a_sheet_too_large_is_refused_with_a_width_that_fits() -> None:
    with pytest.raises(Refusal, match=r"the limit: thumb_width (\d+) would fit") as caught:
        lay_out(20, 20, 1920, (1920, 1080))
    width = int(caught.value.message.split("thumb_width ")[1].split()[0])
    layout = lay_out(20, 20, width, (1920, 1080))
    assert layout.width <= MAX_SIDE
    assert layout.width * layout.height(20) <= MAX_AREA
    with pytest.raises(Refusal):
        lay_out(20, 20, width + 1, (1920, 1080))


async def test_too_large_a_sheet_is_rejected_in_words(
    encode: Encode, even: Even, shoot: Shoot
) -> None:
    with pytest.raises(Rejected, match="megapixels are the limit"):
        await shoot(encode("film.mp4", stamps=even(100)), grid="20x20", thumb_width=1920)


def test_facts_are_short_and_readable() -> None:
    assert [amount(0), amount(1023), amount(1536), amount(5 * 1024**3)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5 GiB",
    ]
    assert [length(s) for s in (0.2, 3.21, 75, 36000)] == ["200 ms", "3.2 s", "1:15", "10:00:00"]
