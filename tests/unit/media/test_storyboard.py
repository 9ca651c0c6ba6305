"""Sprite sheets for players: every tile where WebVTT and JSON say it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mediaq.errors import Rejected
from mediaq.media.child.storyboard import Even
from mediaq.media.local import LocalMedia
from mediaq.steps.storyboard import Sprites
from tests.unit.media.conftest import read_number

Encode = Callable[..., Path]
EvenTimes = Callable[..., list[int]]

CUE = re.compile(
    r"(\d\d):(\d\d):(\d\d\.\d{3}) --> (\d\d):(\d\d):(\d\d\.\d{3})\n"
    r"(storyboard-\d\d\.jpg)#xywh=(\d+),(\d+),(\d+),(\d+)\n"
)


async def draw(media: LocalMedia, path: Path, into: Path, **asked: object) -> Sprites:
    probe = await media.probe(path)
    told = {"interval_seconds": None, "tile_width": 160, "columns": 10, "rows": 10} | asked
    size = {"width": probe.width, "height": probe.height}
    return await media.ask("storyboard", path, Sprites, title="x", into=str(into), **size, **told)


def cues(made: Sprites) -> list[tuple[float, float, str, tuple[int, int, int, int]]]:
    text = made.vtt.read_text()
    assert text.startswith("WEBVTT\n\n")
    found = []
    for cue in CUE.finditer(text):
        h1, m1, s1, h2, m2, s2, name, *box = cue.groups()
        start = int(h1) * 3600 + int(m1) * 60 + float(s1)
        end = int(h2) * 3600 + int(m2) * 60 + float(s2)
        x, y, w, h = map(int, box)
        found.append((start, end, name, (x, y, x + w, y + h)))
    return found


async def test_each_cue_shows_the_frame_of_its_time(
    encode: Encode, even: EvenTimes, media: LocalMedia, tmp_path: Path
) -> None:
    film = encode("gop25.mp4", stamps=even(600), gop=25)
    made = await draw(media, film, tmp_path, interval_seconds=2, columns=4, rows=2)
    parts = cues(made)
    assert [(start, end) for start, end, *_ in parts] == [(i * 2, i * 2 + 2) for i in range(12)]
    assert [sheet.path.name for sheet in made.sheets] == ["storyboard-01.jpg", "storyboard-02.jpg"]
    assert (made.sheets[0].width, made.sheets[0].height) == (640, 160)
    assert (made.sheets[1].width, made.sheets[1].height) == (640, 80)
    for start, _, name, box in parts:
        with Image.open(tmp_path / name) as sprite:
            assert read_number(sprite.crop(box)) == pytest.approx(start * 25, abs=25)
    told = json.loads(made.coordinates.read_text())
    for tile, (start, end, name, box) in zip(told["tiles"], parts, strict=True):
        assert (tile["start"], tile["end"], tile["sheet"]) == (start, end, name)
        assert (tile["x"], tile["y"]) == box[:2]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"storyboard-01.jpg", "storyboard-02.jpg", "storyboard.vtt", "storyboard.json"}


@pytest.mark.parametrize("count", [1, 5])
async def test_the_shortest_videos_have_a_storyboard_of_their_whole_length(
    encode: Encode, even: EvenTimes, media: LocalMedia, tmp_path: Path, count: int
) -> None:
    made = await draw(media, encode("few.mp4", stamps=even(count)), tmp_path)
    ((start, end, _, box),) = cues(made)
    assert (start, end) == (0, pytest.approx(count / 25, abs=0.001))
    assert box == (0, 0, 160, 80)
    assert (made.sheets[0].width, made.sheets[0].height) == (160, 80)


async def test_a_black_moment_stays_in_its_place(
    encode: Encode, even: EvenTimes, media: LocalMedia, tmp_path: Path
) -> None:
    def picture(number: int) -> Image.Image:
        return Image.new("RGB", (192, 96), "black" if number < 25 else (number % 200, 90, 200))

    film = encode("begin.mp4", stamps=even(100), gop=5, picture=picture)
    made = await draw(media, film, tmp_path, interval_seconds=1)
    with Image.open(made.sheets[0].path) as sprite:
        assert sprite.convert("L").getpixel((80, 40)) < 30  # type: ignore[operator]


def test_the_interval_grows_with_the_length() -> None:
    even = Even(0, None, exact=False)
    lengths = (1, 60, 600, 3600, 7200, 36000)
    assert [even.spacing(length) for length in lengths] == [1, 2, 5, 15, 20, 60]
    assert len(even.times(36000)) == 600


async def test_too_many_tiles_are_refused_in_words(
    encode: Encode, even: EvenTimes, media: LocalMedia, tmp_path: Path
) -> None:
    film = encode("long.mp4", stamps=[i * 10_000 for i in range(3600)], size=(64, 32), gop=20)
    tall = encode("tall.mp4", stamps=even(5), size=(96, 192))
    with pytest.raises(Rejected, match=r"35991 frames, 5000 is the limit.* 7\.2$"):
        await draw(media, film, tmp_path, interval_seconds=1)
    with pytest.raises(Rejected, match=r"storyboard width \d+ would fit"):
        await draw(media, tall, tmp_path, tile_width=640, columns=20, rows=20)
