"""Text of Word files: paragraphs and tables in their order, notes, headers and footers last."""

from __future__ import annotations

from mediaq.media.child.document.archive import Archive
from mediaq.media.child.document.bounds import Bounds
from mediaq.media.child.document.extract import Extract, Part

MAIN = "word/document.xml"
LETTERS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "ptab": "\t"}
# Text that was deleted or stands twice, once for programs that do not know the newer form.
SKIPPED = frozenset({"del", "moveFrom", "Fallback", "instrText", "delText"})


def read_docx(path: str, name: str, bounds: Bounds) -> Extract:
    """Read a Word file; it has no pages before it is laid out, so all is one part."""
    extract = Extract("part")
    with Archive(path, name, bounds.expanded_bytes) as archive:
        relations = archive.relations(MAIN)
        for kind, target in relations.values():
            if kind == "hyperlink":
                extract.link(target)
        body = _Story(extract, "the text")
        archive.read(MAIN, start=body.start, end=body.end, letters=body.letters)
        extract.parts.append(Part(1, body.text))
        edges = {"header": [], "footer": [], "footnotes": [], "endnotes": [], "comments": []}  # type: dict[str, list[str]]
        for kind, target in relations.values():
            if kind in edges:
                edge = _Story(extract, f"the {kind}")
                archive.read(target, start=edge.start, end=edge.end, letters=edge.letters)
                if edge.text.strip() and edge.text not in edges[kind]:
                    edges[kind].append(edge.text)
        for kind, texts in edges.items():
            for text in texts:
                extract.parts.append(Part(len(extract.parts) + 1, text, title=kind))
    return extract


class _Story:
    """One part of WordprocessingML while it streams by."""

    def __init__(self, extract: Extract, place: str) -> None:
        self._extract = extract
        self._place = place
        self._pieces: list[str] = []
        self._skipped = 0
        self._in_text = 0
        self._tables: list[list[list[str]]] = []
        self._cells: list[list[str]] = []

    @property
    def text(self) -> str:
        """What was read so far."""
        return "".join(self._pieces)

    def start(self, tag: str, _attributes: dict[str, str]) -> None:
        """See an element begin."""
        own = tag.rpartition(" ")[2]
        if own in SKIPPED:
            self._skipped += 1
        elif own == "t":
            self._in_text += 1
        elif own in LETTERS:
            self._write(LETTERS[own])
        elif own == "tbl":
            self._tables.append([])
        elif own == "tr" and self._tables:
            self._tables[-1].append([])
        elif own == "tc" and self._tables:
            self._cells.append([])

    def letters(self, text: str) -> None:
        """Take text where it is shown."""
        if self._in_text:
            self._write(text)

    def end(self, tag: str) -> None:
        """See an element end."""
        own = tag.rpartition(" ")[2]
        if own in SKIPPED:
            self._skipped -= 1
        elif own == "t":
            self._in_text -= 1
        elif own == "p":
            self._write("\n")
        elif own == "tc" and self._cells:
            cell = "".join(self._cells.pop()).strip()
            if self._tables and self._tables[-1]:
                self._tables[-1][-1].append(cell)
        elif own == "tbl" and self._tables:
            rows = self._tables.pop()
            self._extract.table(self._place, rows)
            self._write(
                "\n".join("\t".join(cell.replace("\n", " ") for cell in row) for row in rows)
            )
            self._write("\n")

    def _write(self, text: str) -> None:
        if self._skipped:
            return
        (self._cells[-1] if self._cells else self._pieces).append(text)
