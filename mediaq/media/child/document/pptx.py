"""Text of PowerPoint files: slide by slide as they are shown, each with its notes."""

from __future__ import annotations

from mediaq.media.child.document.archive import Archive
from mediaq.media.child.document.bounds import Bounds
from mediaq.media.child.document.extract import Extract, Part

MAIN = "ppt/presentation.xml"
# What stands on every slide: number, date, footer.
EDGES = frozenset({"sldNum", "dt", "ftr", "hdr", "sldImg"})


def read_pptx(path: str, name: str, bounds: Bounds) -> Extract:
    """Read a PowerPoint file; a part is a slide."""
    extract = Extract("slide")
    with Archive(path, name, bounds.expanded_bytes) as archive:
        relations = archive.relations(MAIN)
        slides = [relations[one][1] for one in _order(archive) if one in relations]
        if len(slides) > bounds.pages:
            extract.notes.append(f"Only the first {bounds.pages:,} slides were read, the limit.")
        for number, slide in enumerate(slides[: bounds.pages], start=1):
            shown = _Slide(extract, f"slide {number}")
            archive.read(slide, start=shown.start, end=shown.end, letters=shown.letters)
            text = shown.text
            for kind, target in archive.relations(slide).values():
                if kind == "hyperlink":
                    extract.link(target)
                elif kind == "notesSlide":
                    notes = _Slide(extract, f"the notes of slide {number}")
                    archive.read(target, start=notes.start, end=notes.end, letters=notes.letters)
                    text = f"{text}\n{notes.text}" if notes.text.strip() else text
            title = next((line for line in text.splitlines() if line.strip()), "")
            extract.parts.append(Part(number, text, title=title))
    return extract


def _order(archive: Archive) -> list[str]:
    """List the slides' relations as they are shown."""
    found: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag.endswith(" sldId"):
            found.extend(v for k, v in attributes.items() if k.endswith(" id"))

    archive.read(MAIN, start=start, end=lambda _: None, letters=lambda _: None)
    return found


class _Slide:
    """The text of one slide while it streams by, shape after shape."""

    def __init__(self, extract: Extract, place: str) -> None:
        self._extract = extract
        self._place = place
        self._pieces: list[str] = []
        self._shape: list[str] | None = None
        self._skip = False
        self._in_text = 0
        self._rows: list[list[str]] | None = None
        self._cell: list[str] | None = None

    @property
    def text(self) -> str:
        """What was read so far."""
        return "".join(self._pieces)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """See an element begin."""
        own = tag.rpartition(" ")[2]
        if own == "sp":
            self._shape, self._skip = [], False
        elif own == "ph" and attributes.get("type") in EDGES:
            self._skip = True
        elif own == "t":
            self._in_text += 1
        elif own == "br":
            self._write("\n")
        elif own == "tbl":
            self._rows = []
        elif own == "tr" and self._rows is not None:
            self._rows.append([])
        elif own == "tc":
            self._cell = []

    def letters(self, text: str) -> None:
        """Take text where it is shown."""
        if self._in_text:
            self._write(text)

    def end(self, tag: str) -> None:
        """See an element end."""
        own = tag.rpartition(" ")[2]
        if own == "t":
            self._in_text -= 1
        elif own == "p":
            self._write("\n")
        elif own == "sp":
            if self._shape and not self._skip:
                self._pieces += self._shape
            self._shape = None
        elif own == "tc" and self._cell is not None:
            if self._rows:
                self._rows[-1].append("".join(self._cell).strip())
            self._cell = None
        elif own == "tbl" and self._rows is not None:
            self._extract.table(self._place, self._rows)
            self._pieces += ["\t".join(row) + "\n" for row in self._rows]
            self._rows = None

    def _write(self, text: str) -> None:
        if self._cell is not None:
            self._cell.append(text)
        elif self._shape is not None:
            self._shape.append(text)
        else:
            self._pieces.append(text)
