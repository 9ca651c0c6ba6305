"""SVG: looked through for what leads outside, then drawn by resvg, which knows no network."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageFont

from mediaq.media.child.document.extract import Extract, Part
from mediaq.media.child.document.pictures import checker
from mediaq.media.child.document.xmlstream import read_xml
from mediaq.media.child.refusal import Refusal

if TYPE_CHECKING:
    from mediaq.media.child.document.bounds import Bounds

MAX_BYTES = 20 * 1024 * 1024
MAX_ELEMENTS = 200_000
INSIDE = re.compile(r"\s*(#|data:image/(png|jpe?g|gif|webp)[;,])", re.IGNORECASE)
REFERENCE = re.compile(r"url\(\s*['\"]?\s*(?!#)[^)\s]|@import", re.IGNORECASE)
FONT = "Aileron"
TEXTS = frozenset({"text", "title", "desc"})


class Look:
    """What stands in a drawing: its texts, and what in it leads outside."""

    def __init__(self, name: str) -> None:
        self.outside: list[str] = []
        self._name = name
        self._texts: list[str] = []
        self._open: list[str] = []
        self._count = 0

    @property
    def text(self) -> str:
        """The texts, each on a line."""
        lines = (" ".join(text.split()) for text in self._texts)
        return "\n".join(line for line in lines if line)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """See an element begin."""
        self._count += 1
        if self._count > MAX_ELEMENTS:
            msg = f"{self._name} has more than {MAX_ELEMENTS:,} elements, the limit for drawings"
            raise Refusal(msg)
        own = tag.rpartition(" ")[2]
        self._open.append(own)
        if own in TEXTS:
            self._texts.append("")
        for key, value in attributes.items():
            target = key.rpartition(" ")[2] in {"href", "src"} and own != "a"
            if (target and value.strip() and not INSIDE.match(value)) or REFERENCE.search(value):
                self.outside.append(value.strip()[:100])

    def letters(self, text: str) -> None:
        """Take text, and look for what a style names."""
        if self._open and self._open[-1] == "style" and REFERENCE.search(text):
            self.outside.append(text.strip()[:100])
        if TEXTS.intersection(self._open):
            self._texts[-1] += text

    def end(self, _tag: str) -> None:
        """See an element end."""
        self._open.pop()


def look(path: str, name: str) -> Look:
    """Look through a drawing; refuse entities and endless ones."""
    with Path(path).open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        msg = f"{name} is larger than {MAX_BYTES // 1024**2} MiB, the limit for drawings"
        raise Refusal(msg)
    seen = Look(name)
    read_xml(
        io.BytesIO(data), name, start=seen.start, end=seen.end, letters=seen.letters, doctype=True
    )
    return seen


def read_svg(path: str, name: str, _bounds: Bounds) -> Extract:
    """Read the texts of a drawing."""
    return Extract("part", [Part(1, look(path, name).text)])


def draw(path: str, name: str, side: int, bounds: Bounds, fonts: Path) -> Image.Image:
    """Draw ``side`` pixels wide, on a checker board where it is clear.

    Letters of a font that is not on this machine are drawn in Pillow's, written to ``fonts``.
    """
    outside = look(path, name).outside
    if outside:
        msg = f"names something outside itself ({outside[0]}), which is not drawn"
        raise Refusal(msg)
    import resvg_py

    text = Path(path).read_text("utf-8", "replace")
    try:
        # Asked for a width only, resvg keeps the shape.
        drawn = bytes(
            resvg_py.svg_to_bytes(
                svg_string=text,
                width=side,
                font_files=[str(_font(fonts))],
                font_family=FONT,
                serif_family=FONT,
                sans_serif_family=FONT,
            )
        )
    except ValueError as error:
        msg = f"cannot be drawn: {str(error)[:200]}"
        raise Refusal(msg) from None
    Image.MAX_IMAGE_PIXELS = bounds.pixels
    picture = Image.open(io.BytesIO(drawn), formats=("PNG",)).convert("RGBA")
    paper = checker(picture.size)
    paper.paste(picture, mask=picture.getchannel("A"))
    return paper


def _font(folder: Path) -> Path:
    path = folder / "font.otf"
    letters = ImageFont.load_default(16)
    if isinstance(letters, ImageFont.FreeTypeFont):
        path.write_bytes(letters.font_bytes)
    return path
