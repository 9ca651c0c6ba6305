"""The right frames of odd videos, told by the number that every frame carries."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from PIL import Image

from mediaq.errors import Rejected
from mediaq.media.ffmpeg import find_ffmpeg
from mediaq.media.local import LocalMedia
from mediaq.model import Options, SheetSet

Encode = Callable[..., Path]
Shoot = Callable[..., Awaitable[SheetSet]]
Read = Callable[[SheetSet], list[int]]
Even = Callable[..., list[int]]

RATE = 25


def expected(made: SheetSet) -> list[int]:
    return [round(frame.seconds * RATE) for frame in made.frames]


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    ("name", "codec", "gop"),
    [
        ("gop250.mp4", "libx264", 250),
        ("gop25.mp4", "libx264", 25),
        ("stream.ts", "libx264", 50),
        ("long.ts", "libx264", 250),
        ("film.mkv", "libx264", 100),
        ("film.flv", "libx264", 100),
        ("film.webm", "libvpx", 60),
        ("film.avi", "mpeg4", 100),
        ("motion.avi", "mjpeg", 1),
        ("raw.h264", "libx264", 50),
    ],
)
async def test_every_container_gives_24_different_frames_in_order_and_on_time(
    encode: Encode, even: Even, shoot: Shoot, read: Read,
    name: str, codec: str, gop: int, *, exact: bool,
) -> None:  # fmt: skip
    film = encode(name, stamps=even(600), codec=codec, gop=gop)
    made = await shoot(film, grid="4x6", exact=exact)
    found = read(made)
    assert found == expected(made)
    assert len(set(found)) == 24
    assert found == sorted(found)
    for frame in made.frames:
        reach = 1 / RATE + 0.02 if exact else made.interval_seconds / 2 + 1e-6
        assert abs(frame.seconds - frame.wanted_seconds) <= reach
    if exact:
        assert made.method == "exact"
        assert found == [int(frame.wanted_seconds * RATE + 0.02) for frame in made.frames]


async def test_a_keyframe_nearby_is_taken_instead_of_decoding_up_to_the_time(
    encode: Encode, even: Even, shoot: Shoot, read: Read
) -> None:
    made = await shoot(encode("gop25.mp4", stamps=even(600), gop=25), frames=6)
    assert all(number % 25 == 0 for number in read(made))
    assert made.method == "keyframes"


@pytest.mark.parametrize("exact", [False, True])
async def test_time_begins_with_the_first_frame(
    encode: Encode, even: Even, shoot: Shoot, read: Read, *, exact: bool
) -> None:
    for name in ("late.mp4", "late.ts", "late.mkv"):
        film = encode(name, stamps=even(250, start=10), gop=50)
        made = await shoot(film, frames=12, exact=exact)
        assert read(made) == expected(made)
        assert len(made.frames) == 12
        assert made.frames[-1].seconds < 10


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm"])
async def test_a_video_with_too_few_frames_shows_each_once_and_says_so(
    encode: Encode, even: Even, shoot: Shoot, read: Read, count: int, kind: str
) -> None:
    codec = "libvpx" if kind == "webm" else "libx264"
    made = await shoot(encode(f"few{count}.{kind}", stamps=even(count), codec=codec))
    assert read(made) == list(range(count))
    assert "has only" in made.notes[0]
    assert made.sheets[0].frame_count == count


async def test_frames_that_crowd_at_the_start_are_all_different(
    encode: Encode, shoot: Shoot, read: Read
) -> None:
    stamps = [i * 20 for i in range(40)] + [20000, 20500]
    for name in ("crowd.mp4", "crowd.mkv"):
        made = await shoot(encode(name, stamps=stamps), grid="4x6")
        found = read(made)
        assert len(set(found)) == 24
        assert found == sorted(found)
        assert [stamps[n] / 1000 for n in found] == [round(f.seconds, 3) for f in made.frames]


async def test_a_long_still_is_not_shown_twice_when_the_index_hides_it(
    encode: Encode, shoot: Shoot, read: Read
) -> None:
    # 200 frames in the first 8 s, a still of 52 s, one frame: even times all meet the still.
    stamps = [i * 40 for i in range(200)] + [60000]
    made = await shoot(encode("still.mp4", stamps=stamps), grid="4x6")
    found = read(made)
    assert len(found) == 24
    assert len(set(found)) == 24


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts"])
async def test_sound_that_outlasts_the_picture_does_not_count(
    encode: Encode, even: Even, shoot: Shoot, read: Read, kind: str
) -> None:
    film = encode(f"sound.{kind}", stamps=even(250), sound_seconds=30)
    made = await shoot(film, frames=10)
    assert read(made) == expected(made)
    assert 9 < made.frames[-1].seconds < 10


async def test_intra_refresh_gives_whole_pictures(
    encode: Encode, even: Even, shoot: Shoot, read: Read
) -> None:
    for name in ("refresh.mp4", "refresh.ts"):
        settings = (("x264-params", "intra-refresh=1:keyint=250"),)
        made = await shoot(encode(name, stamps=even(600), settings=settings), grid="4x6")
        assert read(made) == expected(made)


@pytest.mark.parametrize("exact", [False, True])
async def test_of_a_truncated_file_the_rest_is_shown_and_a_note_tells(
    encode: Encode, even: Even, shoot: Shoot, read: Read, tmp_path: Path, *, exact: bool
) -> None:
    for name in ("whole.mp4", "whole.mkv"):
        whole = encode(name, stamps=even(600), faststart=name.endswith("mp4"))
        data = whole.read_bytes()
        cut = tmp_path / f"cut-{name}"
        cut.write_bytes(data[: len(data) * 6 // 10])
        made = await shoot(cut, frames=12, exact=exact)
        found = read(made)
        assert found == expected(made)
        assert len(set(found)) == 12
        assert any("can be read" in note for note in made.notes)


async def test_damage_in_the_middle_costs_no_tile(
    encode: Encode, even: Even, shoot: Shoot, tmp_path: Path
) -> None:
    data = bytearray(encode("gop25.mp4", stamps=even(600), gop=25, faststart=True).read_bytes())
    middle = len(data) // 2
    data[middle : middle + len(data) // 6] = bytes(len(data) // 6)
    holed = tmp_path / "holed.mp4"
    holed.write_bytes(data)
    made = await shoot(holed, grid="4x6")
    assert len(made.frames) == 24
    assert len({frame.seconds for frame in made.frames}) == 24


async def test_a_fragmented_file_is_read_to_its_end(
    encode: Encode, even: Even, shoot: Shoot, read: Read, tmp_path: Path
) -> None:
    whole = encode("gop25.mp4", stamps=even(600), gop=25)
    parts = tmp_path / "parts.mp4"
    flags = ["-movflags", "frag_keyframe+empty_moov"]
    program = str(find_ffmpeg().ffmpeg)
    command = [program, "-v", "error", "-i", str(whole), "-c", "copy", *flags, str(parts)]
    await asyncio.to_thread(subprocess.run, command, check=True)
    made = await shoot(parts, frames=12)
    assert read(made) == expected(made)
    assert made.frames[-1].seconds > 20


async def test_a_moving_gif_is_a_video(
    encode: Encode, even: Even, shoot: Shoot, read: Read
) -> None:
    made = await shoot(encode("moving.gif", stamps=even(30, 10), codec="gif"), frames=10)
    assert read(made) == [round(frame.seconds * 10) for frame in made.frames]
    assert len(made.frames) == 10


async def test_one_frame_for_each_interval(
    encode: Encode, even: Even, shoot: Shoot, read: Read
) -> None:
    film = encode("gop250.mp4", stamps=even(600), gop=250)
    made = await shoot(film, interval_seconds=5, exact=True)
    assert read(made) == [0, 125, 250, 375, 500]
    assert made.interval_seconds == 5


async def test_too_many_frames_are_refused_before_decoding(
    encode: Encode, even: Even, shoot: Shoot
) -> None:
    film = encode("gop250.mp4", stamps=even(600), gop=250)
    with pytest.raises(Rejected, match=r"2400 frames, 1000 is the limit.* 0\.03"):
        await shoot(film, interval_seconds=0.01)


async def test_progress_grows_from_real_frames(
    encode: Encode, even: Even, media: LocalMedia, tmp_path: Path
) -> None:
    film = encode("gop250.mp4", stamps=even(600), gop=250)
    probe = await media.probe(film)
    told: list[tuple[float, str]] = []

    async def tell(part: float, doing: str) -> None:
        told.append((part, doing))

    await media.contact_sheets(
        film, tmp_path / "made", options=Options(), probe=probe, title="x", progress=tell
    )
    parts = [part for part, doing in told if doing == "taking frames"]
    assert len(parts) == 6
    assert parts == sorted(parts)
    assert 0 < parts[0] < parts[-1] <= 1


async def test_files_are_named_in_order_and_nothing_else_is_left(
    encode: Encode, even: Even, shoot: Shoot
) -> None:
    film = encode("gop25.mp4", stamps=even(600), gop=25)
    made = await shoot(film, frames=8, grid="2x3", format="webp")
    folder = made.thumbnail.path.parent
    names = [f"frame-{i:04}.webp" for i in range(1, 9)]
    names += ["preview.webp", "sheet-01.webp", "sheet-02.webp", "thumbnail.webp"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert [sheet.frame_count for sheet in made.sheets] == [6, 2]
    for sheet in made.sheets:
        with Image.open(sheet.path) as picture:
            assert picture.size == (sheet.width, sheet.height)
            assert picture.format == "WEBP"
    assert made.sheets[1].height < made.sheets[0].height
