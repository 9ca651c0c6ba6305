"""Frames that say something: what is black, blank, faded, blurred or a repeat gives way."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from mediaq.media.child.judge import alike, fault, look, usual
from mediaq.model import SheetSet

Encode = Callable[..., Path]
Even = Callable[..., list[int]]
Shoot = Callable[..., Awaitable[SheetSet]]

SIZE = (320, 180)
GREY = Image.new("RGB", SIZE, (128, 128, 128))
BLACK = Image.new("RGB", SIZE)


@cache
def scene(seed: int) -> Image.Image:
    """Draw a busy picture, another one for each seed."""
    dice = random.Random(seed)  # noqa: S311 - the same picture each time
    picture = Image.new("RGB", SIZE, tuple(dice.randrange(60, 180) for _ in "rgb"))
    draw = ImageDraw.Draw(picture)
    for _ in range(40):
        x, y = dice.randrange(SIZE[0]), dice.randrange(SIZE[1])
        box = (x, y, x + dice.randrange(5, 60), y + dice.randrange(5, 60))
        draw.ellipse(box, fill=tuple(dice.randrange(256) for _ in "rgb"))
    return picture


def dimmed(picture: Image.Image, part: float) -> Image.Image:
    return picture.point([int(value % 256 * part) for value in range(768)])


def blurred(picture: Image.Image) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(4))


def title() -> Image.Image:
    picture = BLACK.copy()
    ImageDraw.Draw(picture).text(
        (60, 70), "THE BIG FILM", fill="white", font=ImageFont.load_default(30)
    )
    return picture


def test_what_is_wrong_with_a_picture_is_named() -> None:
    common = usual([look(scene(seed)) for seed in range(8)])
    assert fault(look(BLACK), common) == "black"
    assert fault(look(GREY), common) == "blank"
    assert fault(look(blurred(scene(0))), common) == "blurred"
    assert fault(look(scene(0)), common, look(scene(0))) == "repeated"
    assert fault(look(scene(0)), common, look(scene(1))) is None
    strong = look(Image.linear_gradient("L").resize(SIZE).convert("RGB"))
    assert fault(look(dimmed(scene(2), 0.5)), usual([strong] * 3)) == "faded"


def test_a_title_card_and_a_night_with_lights_are_pictures() -> None:
    common = usual([look(scene(seed)) for seed in range(8)])
    assert fault(look(title()), common) is None
    night = BLACK.copy()
    for i in range(12):
        ImageDraw.Draw(night).ellipse((i * 26, i * 12, i * 26 + 12, i * 12 + 12), fill="orange")
    assert fault(look(night), common) is None


def test_noise_makes_no_other_picture_and_a_word_does() -> None:
    other = scene(3).copy()
    assert alike(look(scene(3)), look(other))
    other = Image.blend(other, Image.effect_noise(SIZE, 20).convert("RGB"), 0.02)
    assert alike(look(scene(3)), look(other))
    ImageDraw.Draw(other).text((100, 80), "NEXT SLIDE", fill="white", stroke_width=2)
    assert not alike(look(scene(3)), look(other))


def at(seconds: float, wrong: Image.Image) -> Callable[[int], Image.Image]:
    """Draw a new scene each second at 25 frames a second, and ``wrong`` for one second."""
    return lambda n: wrong if abs(n / 25 - seconds) <= 0.5 else scene(n // 25)


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.ts"])
@pytest.mark.parametrize("gop", [12, 1000])
async def test_a_black_moment_gives_way_to_the_nearest_frame_that_is_not(
    encode: Encode, even: Even, shoot: Shoot, name: str, gop: int
) -> None:
    film = encode(name, stamps=even(600), gop=gop, size=SIZE, picture=at(10, BLACK))
    made = await shoot(film, frames=6)
    assert made.notes == ("Instead of 1 black frame another one nearby is shown.",)
    assert [frame.instead_of for frame in made.frames] == [None, None, "black", None, None, None]
    frame = made.frames[2]
    assert frame.wanted_seconds == pytest.approx(10)
    assert 0.5 < abs(frame.seconds - 10) < 1.6
    with Image.open(frame.path) as shown:
        assert look(shown).light > 40
    assert made.method == "keyframes"
    left = await shoot(film, frames=6, exact=True)
    assert left.notes == ()
    assert [round(frame.seconds, 1) for frame in left.frames] == [2, 6, 10, 14, 18, 22]


async def test_blank_blurred_and_repeated_frames_give_way(
    encode: Encode, even: Even, shoot: Shoot
) -> None:
    def picture(number: int) -> Image.Image:
        seconds = number / 25
        for middle, wrong in ((6, GREY), (14, blurred(scene(14))), (22, scene(18))):
            if abs(seconds - middle) <= 0.5:
                return wrong
        return scene(int((seconds + 0.5) // 1))

    made = await shoot(encode("w.mp4", stamps=even(600), gop=12, size=SIZE, picture=picture))
    assert [f.instead_of for f in made.frames] == [None, "blank", None, "blurred", None, "repeated"]
    assert made.notes == (
        "Instead of 1 blank and 1 repeated and 1 blurred frames others nearby are shown.",
    )


async def test_a_fault_that_lasts_is_left_by_going_further(
    encode: Encode, even: Even, shoot: Shoot
) -> None:
    """The nearest frame tried is as bad, at all of the four tiles that are tried first."""

    def picture(number: int) -> Image.Image:
        seconds = number / 25
        return GREY if abs(seconds % 8 - 2) <= 0.7 else scene(int(seconds))

    film = encode("long.mp4", stamps=even(800), gop=12, size=SIZE, picture=picture)
    made = await shoot(film, grid="4x2")
    assert [frame.instead_of for frame in made.frames] == ["blank", None] * 4


@pytest.mark.parametrize("still", [BLACK, scene(1)])
async def test_a_video_that_shows_one_thing_only_is_left_as_it_is(
    encode: Encode, even: Even, shoot: Shoot, still: Image.Image
) -> None:
    film = encode("still.mp4", stamps=even(600), gop=12, size=SIZE, picture=lambda _n: still)
    made = await shoot(film, grid="4x6")
    assert made.notes == ()
    assert len({frame.seconds for frame in made.frames}) == 24


async def test_replacing_keeps_frames_different_and_in_order(
    encode: Encode, even: Even, shoot: Shoot
) -> None:
    """Every second is black but for a few frames in its middle."""

    def picture(number: int) -> Image.Image:
        return scene(number // 25) if 10 <= number % 25 < 16 else BLACK

    made = await shoot(encode("blink.mp4", stamps=even(250), gop=250, size=SIZE, picture=picture))
    times = [frame.seconds for frame in made.frames]
    assert times == sorted(set(times))
    assert made.notes
