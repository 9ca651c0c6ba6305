"""Nine small moving pictures, drawn in code for the demo video."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from PIL import Image, ImageColor, ImageDraw, ImageFilter, ImageFont, ImageOps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Point = tuple[float, float]

WIDTH, HEIGHT = 1280, 720


def scenes() -> tuple[Callable[[int], Iterator[Image.Image]], ...]:
    """Give the scenes in order; each yields as many frames as it is asked for."""
    return (title, dawn, sea, night, clock, fractal, shapes, desert, bars)


def title(frames: int) -> Iterator[Image.Image]:
    """Draw rows flying into a grid below the name."""
    back = _sky("#1b1f3b", "#0d0f1f")
    draw = ImageDraw.Draw(back)
    draw.text((640, 230), "mediaq", "#f4f1de", font=_font(170), anchor="mm")
    line = "insert a row, get the picture"
    draw.text((640, 365), line, "#9aa3c7", font=_font(42), anchor="mm")
    colours = ("#e07a5f", "#81b29a", "#f2cc8f", "#6d8bd6", "#c77dba", "#5fb3c8")
    for t in _steps(frames):
        image = back.copy()
        draw = ImageDraw.Draw(image)
        for i, colour in enumerate(colours):
            arrived = _ease(min(1.0, max(0.0, t * 3.2 - i * 0.25)))
            x, y = 214 + i * 146, 470 + (1 - arrived) * 300
            draw.rounded_rectangle((x, y, x + 122, y + 78), 12, fill=colour)
            play = [(x + 49, y + 20), (x + 49, y + 58), (x + 82, y + 39)]
            draw.polygon(play, fill="#14172b")
        draw.rectangle((214, 590, 214 + 852 * t, 596), fill="#f2cc8f")
        yield image


def dawn(frames: int) -> Iterator[Image.Image]:
    """Draw the sun rising behind hills in mist."""
    sky = _sky("#34416f", "#f7a072", "#fbd3a0")
    hills = [
        _hills(seed, base, high, colour)
        for seed, base, high, colour in (
            (3, 450, 110, "#b56576"),
            (8, 520, 90, "#7d4f6d"),
            (5, 600, 70, "#4a3b5c"),
            (1, 670, 50, "#2a2640"),
        )
    ]
    sun = _glow(150, "#fff1c9")
    for t in _steps(frames):
        image = sky.copy()
        image.paste(sun, (760, int(420 - 260 * t)), sun)
        for depth, hill in enumerate(hills):
            image.paste(hill, (-int(t * 18 * depth), HEIGHT - hill.height), hill)
        _birds(ImageDraw.Draw(image), (240 + 420 * t, 210 - 40 * t), t)
        yield image


def sea(frames: int) -> Iterator[Image.Image]:
    """Draw a boat on the waves at noon."""
    sky = _sky("#3a8fd9", "#bfe3f5", "#e9f6fb")
    clouds = [_cloud(seed) for seed in (2, 7, 11)]
    sun = _glow(90, "#fffbe6")
    sky.paste(sun, (1000, 40), sun)
    for t in _steps(frames):
        image = sky.copy()
        for i, cloud in enumerate(clouds):
            image.paste(cloud, (int(-120 + i * 430 + 90 * t), 70 + 55 * (i % 2)), cloud)
        draw = ImageDraw.Draw(image)
        _wave(draw, 440, "#2f86b5", 11, t * 4)
        x, y = 380 + 380 * t, 470 + 9 * math.sin(t * 13)
        lean = 9 * math.sin(t * 13 + 1)
        draw.polygon([(x, y - 230), (x + lean, y - 25), (x + 125, y - 25)], fill="#fdfcf7")
        draw.polygon([(x - 8, y - 205), (x - 8 + lean, y - 25), (x - 80, y - 25)], fill="#e4572e")
        draw.line((x - 3, y - 235, x - 3, y), fill="#5b3a29", width=7)
        hull = [(x - 110, y - 14), (x + 150, y - 14), (x + 105, y + 46), (x - 75, y + 46)]
        draw.polygon(hull, fill="#7a3b1d")
        _wave(draw, 510, "#21699a", 15, -t * 5)
        _wave(draw, 600, "#174e78", 19, t * 6)
        yield image


def night(frames: int) -> Iterator[Image.Image]:
    """Draw a town under the moon with lights going on and cars passing."""
    back = _sky("#05060f", "#101a3c", "#27346b")
    dice = random.Random(4)  # noqa: S311 - a drawing
    draw = ImageDraw.Draw(back)
    for _ in range(230):
        x, y, grey = dice.randrange(WIDTH), dice.randrange(430), dice.randrange(110, 255)
        draw.ellipse((x, y, x + grey // 100, y + grey // 100), fill=(grey, grey, grey))
    moon = _glow(80, "#f5f3dc")
    back.paste(moon, (150, 50), moon)
    windows: list[tuple[int, int, float]] = []
    left = 0
    while left < WIDTH:
        width, top = dice.randrange(70, 150), dice.randrange(270, 500)
        shade = dice.randrange(10, 26)
        draw.rectangle((left, top, left + width, 640), fill=(shade, shade, shade + 14))
        for x in range(left + 12, left + width - 16, 26):
            windows += [(x, y, dice.random() * 1.9) for y in range(top + 16, 620, 34)]
        left += width + 4
    draw.rectangle((0, 640, WIDTH, HEIGHT), fill="#0b0c14")
    for t in _steps(frames):
        image = back.copy()
        draw = ImageDraw.Draw(image)
        for x, y, when in windows:
            if when < 0.35 + t:
                draw.rectangle((x, y, x + 11, y + 16), fill="#f6c860")
        for i in range(6):
            away, near = (1500 * t + i * 270) % 1500 - 100, (1400 - 1300 * t + i * 310) % 1500 - 100
            draw.rounded_rectangle((away, 664, away + 46, 671), 3, fill="#e63946")
            draw.rounded_rectangle((near, 694, near + 62, 703), 4, fill="#fff6d5")
        yield image


def clock(frames: int) -> Iterator[Image.Image]:
    """Draw a clock whose hand goes round once, and a counter."""
    back = _sky("#f6efe2", "#e9dcc3")
    draw = ImageDraw.Draw(back)
    x, y = 430, 360
    draw.ellipse((x - 272, y - 272, x + 272, y + 272), fill="#2d3047")
    draw.ellipse((x - 250, y - 250, x + 250, y + 250), fill="#fffdf8")
    for minute in range(60):
        large = minute % 5 == 0
        ends = [_polar(x, y, r, minute / 60) for r in (205 if large else 226, 238)]
        draw.line(ends, fill="#2d3047", width=9 if large else 3)
    small, large_font = _font(40), _font(190)
    for frame, t in enumerate(_steps(frames)):
        image = back.copy()
        draw = ImageDraw.Draw(image)
        draw.line([(x, y), _polar(x, y, 130, 10 / 12 + t / 12)], fill="#2d3047", width=17)
        draw.line([(x, y), _polar(x, y, 190, 0.15 + t / 6)], fill="#2d3047", width=11)
        draw.line([_polar(x, y, -45, t), _polar(x, y, 220, t)], fill="#d1495b", width=6)
        draw.ellipse((x - 16, y - 16, x + 16, y + 16), fill="#d1495b")
        draw.text((970, 330), f"{frame:03}", "#2d3047", font=large_font, anchor="mm")
        draw.text((970, 460), "frames so far", "#8a7f6a", font=small, anchor="mm")
        yield image


def fractal(frames: int) -> Iterator[Image.Image]:
    """Draw a flight into the Mandelbrot set."""
    for t in _steps(frames):
        span = 1.6 * 0.3**t
        x, y = -0.55 - 0.3 * _ease(t), -0.02 - 0.2 * t
        extent = (x - span, y - span * 0.5625, x + span, y + span * 0.5625)
        grey = Image.effect_mandelbrot((WIDTH // 4, HEIGHT // 4), extent, 64)
        lively = ImageOps.autocontrast(grey, cutoff=1)
        image = ImageOps.colorize(lively, "#03071e", "#ffe8a3", mid="#9d0e5c", midpoint=96)
        yield image.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)


def shapes(frames: int) -> Iterator[Image.Image]:
    """Draw circles, squares and bows turning in a pattern."""
    paper = ("#f4d58d", "#bf0603", "#708d81", "#001427")
    for t in _steps(frames):
        image = Image.new("RGB", (WIDTH, HEIGHT), "#f2e8cf")
        draw = ImageDraw.Draw(image)
        for i in range(32):
            x, y = (i % 8) * 160, (i // 8) * 180
            colour, other = paper[(i + i // 8) % 4], paper[(i * 3 + 1 + i // 8) % 4]
            draw.rectangle((x, y, x + 160, y + 180), fill=other)
            turn = (t * 360 + i * 45) % 360
            if i % 3 == 0:
                draw.pieslice((x + 12, y + 22, x + 148, y + 158), turn, turn + 270, fill=colour)
            elif i % 3 == 1:
                r = 28 + 38 * abs(math.sin(t * math.pi * 2 + i))
                draw.ellipse((x + 80 - r, y + 90 - r, x + 80 + r, y + 90 + r), fill=colour)
            else:
                corners = [_polar(x + 80, y + 90, 74, k / 4 + turn / 360) for k in range(4)]
                draw.polygon(corners, fill=colour)
        yield image


def desert(frames: int) -> Iterator[Image.Image]:
    """Draw a balloon over dunes at sunset."""
    sky = _sky("#5f0f40", "#fb8b24", "#ffd97d")
    sun = _glow(190, "#fff0b5")
    sky.paste(sun, (90, 250), sun)
    dunes = [
        _hills(seed, base, 60, colour, waves=2)
        for seed, base, colour in ((6, 540, "#c8553d"), (9, 610, "#933b2c"), (2, 680, "#5c2420"))
    ]
    for t in _steps(frames):
        image = sky.copy()
        for depth, dune in enumerate(dunes[:2]):
            image.paste(dune, (-int(t * 26 * depth), HEIGHT - dune.height), dune)
        draw = ImageDraw.Draw(image)
        for x, y, r in ((820 - 90 * t, 250 - 90 * t, 120), (1090 - 60 * t, 170 + 40 * t, 58)):
            _balloon(draw, (x, y), r)
        image.paste(dunes[2], (-int(t * 52), HEIGHT - dunes[2].height), dunes[2])
        yield image


def bars(frames: int) -> Iterator[Image.Image]:
    """Draw colour bars with a running wave of sound."""
    back = Image.new("RGB", (WIDTH, HEIGHT), "#10131a")
    draw = ImageDraw.Draw(back)
    colours = ("#ececec", "#e8d92b", "#22c7d4", "#2fbf4f", "#c72fb5", "#d32f2f", "#2f3fd3")
    for i, colour in enumerate(colours):
        draw.rectangle((i * 183, 0, i * 183 + 183, 430), fill=colour)
    for i in range(64):
        draw.rectangle((i * 20, 430, i * 20 + 20, 490), fill=(i * 4, i * 4, i * 4))
    for t in _steps(frames):
        image = back.copy()
        draw = ImageDraw.Draw(image)
        for i in range(80):
            loud = abs(math.sin(i * 0.31 + t * 21) * math.sin(i * 0.11 - t * 8))
            high, x = 6 + 92 * loud, i * 16 + 3
            draw.rounded_rectangle((x, 605 - high, x + 9, 605 + high), 4, fill="#7bdff2")
        yield image


def _steps(frames: int) -> Iterator[float]:
    return (frame / frames for frame in range(frames))


def _ease(t: float) -> float:
    return 1 - (1 - t) ** 3


def _polar(x: float, y: float, radius: float, turn: float) -> Point:
    angle = (turn - 0.25) * 2 * math.pi
    return x + radius * math.cos(angle), y + radius * math.sin(angle)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _sky(*colours: str) -> Image.Image:
    """Blend ``colours`` from top to bottom."""
    column = Image.new("RGB", (1, len(colours)))
    for y, colour in enumerate(colours):
        column.putpixel((0, y), ImageColor.getrgb(colour)[:3])
    stops = len(colours) - 1
    # Half a pixel is cut off at both ends: there the filter has nothing to blend with.
    box = (0.0, 0.5, 1.0, stops + 0.5)
    return column.resize((1, HEIGHT), Image.Resampling.BILINEAR, box).resize((WIDTH, HEIGHT))


def _hills(seed: int, base: int, high: int, colour: str, waves: int = 4) -> Image.Image:
    layer = Image.new("RGBA", (WIDTH + 80, HEIGHT))
    dice = random.Random(seed)  # noqa: S311 - a drawing
    parts = [
        (dice.uniform(0.6, 1.6) * (k + 1), dice.random() * 7, 1 / (k + 1)) for k in range(waves)
    ]
    ridge: list[Point] = [
        (x, base - high * sum(a * math.sin(f * x / 180 + p) for f, p, a in parts) / 2)
        for x in range(0, WIDTH + 81, 8)
    ]
    corners: Sequence[Point] = [(0, HEIGHT), *ridge, (WIDTH + 80, HEIGHT)]
    ImageDraw.Draw(layer).polygon(corners, fill=colour)
    return layer.crop((0, int(min(y for _, y in ridge)), WIDTH + 80, HEIGHT))


def _glow(radius: int, colour: str) -> Image.Image:
    size = radius * 2
    red, green, blue = ImageColor.getrgb(colour)[:3]
    disc = Image.new("L", (size, size))
    draw = ImageDraw.Draw(disc)
    draw.ellipse((radius * 0.2, radius * 0.2, size - radius * 0.2, size - radius * 0.2), fill=70)
    disc = disc.filter(ImageFilter.GaussianBlur(radius / 9))
    edge = radius * 0.48
    ImageDraw.Draw(disc).ellipse((edge, edge, size - edge, size - edge), fill=255)
    layer = Image.new("RGBA", (size, size), (red, green, blue, 0))
    layer.putalpha(disc.filter(ImageFilter.GaussianBlur(1.5)))
    return layer


def _cloud(seed: int) -> Image.Image:
    dice = random.Random(seed)  # noqa: S311 - a drawing
    mask = Image.new("L", (360, 150))
    draw = ImageDraw.Draw(mask)
    for _ in range(9):
        x, r = dice.randrange(60, 300), dice.randrange(26, 54)
        draw.ellipse((x - r, 100 - r, x + r, 100 + r * 0.5), fill=235)
    layer = Image.new("RGBA", mask.size, "#ffffff")
    layer.putalpha(mask.filter(ImageFilter.GaussianBlur(3)))
    return layer


def _wave(draw: ImageDraw.ImageDraw, base: int, colour: str, high: int, phase: float) -> None:
    line = [(x, base + high * math.sin(x / 70 + phase)) for x in range(0, WIDTH + 21, 20)]
    draw.polygon([(0, HEIGHT), *line, (WIDTH + 20, HEIGHT)], fill=colour)


def _birds(draw: ImageDraw.ImageDraw, at: Point, t: float) -> None:
    for i in range(5):
        x, y = at[0] + i * 46, at[1] + (i % 2) * 30 + i * 8
        lift = 12 * math.sin(t * 40 + i)
        wings = [(x - 20, y - lift), (x, y), (x + 20, y - lift)]
        draw.line(wings, fill="#2a2640", width=5, joint="curve")


def _balloon(draw: ImageDraw.ImageDraw, at: Point, r: float) -> None:
    x, y = at
    draw.line((x - r * 0.5, y + r * 0.8, x - r * 0.16, y + r * 1.5), fill="#3b1c1a", width=3)
    draw.line((x + r * 0.5, y + r * 0.8, x + r * 0.16, y + r * 1.5), fill="#3b1c1a", width=3)
    draw.polygon([(x - r * 0.87, y + r * 0.5), (x + r * 0.87, y + r * 0.5), (x, y + r * 1.5)],
                 fill="#7d1538")  # fmt: skip
    for width, colour in ((1.0, "#d62839"), (0.66, "#f7e1d7"), (0.3, "#d62839")):
        draw.ellipse((x - r * width, y - r, x + r * width, y + r), fill=colour)
    basket = (x - r * 0.17, y + r * 1.48, x + r * 0.17, y + r * 1.75)
    draw.rounded_rectangle(basket, 4, fill="#3b1c1a")
