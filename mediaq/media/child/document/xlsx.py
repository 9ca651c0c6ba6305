"""Text of Excel files: the values of each sheet, row by row."""

from __future__ import annotations

import re

from mediaq.media.child.document.archive import Archive
from mediaq.media.child.document.bounds import Bounds
from mediaq.media.child.document.cells import Formats
from mediaq.media.child.document.extract import Extract, Part

MAIN = "xl/workbook.xml"
REFERENCE = re.compile(r"([A-Z]{1,3})\d+")
TRUTH = {"1": "TRUE", "0": "FALSE"}
# Columns beyond Excel's own last one (XFD) are nonsense.
MAX_COLUMNS = 16_384
MAX_CELLS = 2_000_000


def read_xlsx(path: str, name: str, bounds: Bounds) -> Extract:
    """Read an Excel file; a part is a sheet, formulas are told by their last values."""
    extract = Extract("sheet")
    with Archive(path, name, bounds.expanded_bytes) as archive:
        relations = archive.relations(MAIN)
        strings = next((t for k, t in relations.values() if k == "sharedStrings"), "")
        shared = _shared(archive, strings)
        formats = Formats(archive)
        for number, (title, relation) in enumerate(_sheets(archive), start=1):
            if number > bounds.pages:
                extract.notes.append(
                    f"Only the first {bounds.pages:,} sheets were read, the limit."
                )
                break
            target = relations.get(relation, ("", ""))[1]
            rows = _Rows(shared, formats, bounds.text_chars)
            archive.read(target, start=rows.start, end=rows.end, letters=rows.letters)
            if rows.full:
                extract.notes.append(f"Sheet {title!r} was cut at the limit of its length.")
            lines = ["\t".join(row).rstrip() for row in rows.rows]
            text = "\n".join(line for line in lines if line.strip())
            extract.parts.append(Part(number, f"{title}\n{text}" if text else "", title=title))
            filled = [row for row in rows.rows if any(row)]
            extract.table(title, filled)
    return extract


def _sheets(archive: Archive) -> list[tuple[str, str]]:
    """List the sheets' names and relations, in the order of their tabs."""
    found: list[tuple[str, str]] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag.endswith(" sheet"):
            relation = next((v for k, v in attributes.items() if k.endswith(" id")), "")
            found.append((attributes.get("name", ""), relation))

    archive.read(MAIN, start=start, end=_nothing, letters=_nothing)
    return found


def _shared(archive: Archive, part: str) -> list[str]:
    """Read the table of texts that cells point into; readings of Asian letters are left out."""
    found: list[str] = []
    inside: list[str] = []

    def start(tag: str, _attributes: dict[str, str]) -> None:
        own = tag.rpartition(" ")[2]
        inside.append(own)
        if own == "si":
            found.append("")

    def letters(text: str) -> None:
        if inside and inside[-1] == "t" and "rPh" not in inside and found:
            found[-1] += text

    def end(_tag: str) -> None:
        inside.pop()

    archive.read(part, start=start, end=end, letters=letters)
    return found


class _Rows:
    """The rows of one sheet while they stream by."""

    def __init__(self, shared: list[str], formats: Formats, most: int) -> None:
        self.rows: list[list[str]] = []
        self.full = False
        self._shared = shared
        self._formats = formats
        self._style = ""
        self._room = most
        self._cells = 0
        self._kind = ""
        self._column = 0
        self._value = ""
        self._inside = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """See an element begin."""
        own = tag.rpartition(" ")[2]
        if own == "row" and not self.full:
            self.rows.append([])
        elif own == "c":
            self._kind = attributes.get("t", "")
            self._style = attributes.get("s", "")
            place = REFERENCE.match(attributes.get("r", ""))
            known = len(self.rows[-1]) if self.rows else 0
            self._column = _column(place[1]) if place else known
            self._value = ""
        elif own in {"v", "t"}:
            self._inside += 1

    def letters(self, text: str) -> None:
        """Take a value."""
        if self._inside:
            self._value += text

    def end(self, tag: str) -> None:
        """See an element end."""
        own = tag.rpartition(" ")[2]
        if own in {"v", "t"}:
            self._inside -= 1
        elif own == "c" and self._value and self.rows and not self.full:
            row, value = self.rows[-1], self._shown()
            gap = min(self._column, MAX_COLUMNS) - len(row)
            row += [""] * max(0, gap)
            row.append(value)
            self._room -= len(value) + 1 + max(0, gap)
            self._cells += 1
            self.full = self._room <= 0 or self._cells > MAX_CELLS

    def _shown(self) -> str:
        if self._kind == "s":
            index = int(self._value) if self._value.isdigit() else -1
            return self._shared[index] if 0 <= index < len(self._shared) else ""
        if self._kind == "b":
            return TRUTH.get(self._value, self._value)
        return (
            self._formats.shown(self._value, self._style)
            if self._kind in {"", "n"}
            else self._value
        )


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _nothing(_: str) -> None: ...
