"""Text on pictures: one font that comes with Pillow, and what to do with letters it lacks."""

from __future__ import annotations

import unicodedata
from functools import cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

ELLIPSIS = "…"
UNKNOWN = "?"
# Asked for by name when a file name has letters that Pillow's own font lacks.
WIDER_FONTS = ("NotoSansCJK-Regular.ttc", "DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf")


@cache
def font(size: int) -> Font:
    """Give Pillow's own font, so that a sheet looks the same on every machine."""
    return ImageFont.load_default(size)


def font_for(text: str, size: int) -> Font:
    """Give the own font, or one of the machine's that has more of the letters of ``text``."""
    own = font(size)
    best, most = own, _covered(own, text)
    for name in WIDER_FONTS if most < len(text) else ():
        try:
            other = ImageFont.truetype(name, size)
        except OSError:
            continue
        if (covered := _covered(other, text)) > most:
            best, most = other, covered
    return best


def spell(text: str, letters: Font) -> str:
    """Replace what ``letters`` cannot show; a run of such letters becomes one mark."""
    spelt = ""
    for letter in text:
        if _has(letters, letter):
            spelt += letter
        elif not spelt.endswith(UNKNOWN):
            spelt += UNKNOWN
    return spelt


def clean(text: str) -> str:
    """Make one line of ``text``: no control, direction or half characters, single spaces."""
    composed = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode("utf-8"))
    kept = (" " if unicodedata.category(c)[0] in "CZ" else c for c in composed[:1000])
    return " ".join("".join(kept).split())


def shorten(text: str, letters: Font, width: float) -> str:
    """Cut the middle out of ``text`` until it fits; the end of a file name tells its kind."""
    if letters.getlength(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        keep = (low + high + 1) // 2
        if letters.getlength(_cut(text, keep)) <= width:
            low = keep
        else:
            high = keep - 1
    return _cut(text, low)


def _cut(text: str, keep: int) -> str:
    tail = keep // 3
    return text[: keep - tail].rstrip() + ELLIPSIS + (text[-tail:].lstrip() if tail else "")


def _covered(letters: Font, text: str) -> int:
    return sum(_has(letters, letter) for letter in text)


@cache
def _has(letters: Font, letter: str) -> bool:
    """Compare with the box that FreeType draws for a letter that no font has."""
    if letter == " ":
        return True
    if not isinstance(letters, ImageFont.FreeTypeFont):
        return letter.isascii()
    return bytes(letters.getmask(letter)) != bytes(letters.getmask("\U0010fffe"))
