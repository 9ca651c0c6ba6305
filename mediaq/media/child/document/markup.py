"""The text of HTML as a reader sees it: no scripts, blocks as lines, tables as rows."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from mediaq.media.child.document.bounds import Bounds
from mediaq.media.child.document.extract import Extract, Part
from mediaq.media.child.document.plain import decode
from mediaq.media.child.document.words import line

HIDDEN = frozenset({"script", "style", "template", "noscript", "svg", "object", "iframe", "select"})
_BLOCKS = (
    "address article aside blockquote body dd details div dl dt fieldset figcaption figure "
    "footer form h1 h2 h3 h4 h5 h6 header hr html li main nav ol p pre section summary table "
    "tbody tfoot thead title tr ul"
)
BLOCKS = frozenset(_BLOCKS.split())
CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
SPACES = re.compile(r"[ \t\n\r\f]+")


def read_html(path: str, name: str, bounds: Bounds) -> Extract:
    """Read a page of HTML; what it names is not fetched."""
    text, encoding, _ = decode(path, name, bounds)
    with Path(path).open("rb") as file:
        head = file.read(4096)
    # Some pages say what they are written in, and mean it, when nothing else tells.
    said = CHARSET.search(head)
    if said and encoding not in {"utf-8", "utf-8-sig", "utf-16", "utf-32"}:
        try:
            with open(path, encoding=said[1].decode(), errors="replace") as file:  # noqa: PTH123 - a path
                text, encoding = file.read(bounds.text_chars), said[1].decode().lower()
        except LookupError:
            pass
    extract = Extract("part")
    extract.facts["encoding"] = encoding
    read_markup(text, extract)
    return extract


def read_markup(text: str, extract: Extract) -> None:
    """Add the text, links, tables and head of a page to ``extract``."""
    page = _Page(extract)
    page.feed(text)
    page.close()
    extract.parts.append(Part(len(extract.parts) + 1, page.text))


class _Page(HTMLParser):
    """A page while it is read."""

    def __init__(self, extract: Extract) -> None:
        super().__init__(convert_charrefs=True)
        self._extract = extract
        self._pieces: list[str] = []
        self._hidden: list[str] = []
        self._in_pre = 0
        self._in_title = False
        self._tables: list[list[list[str]]] = []
        self._cell: list[str] | None = None

    @property
    def text(self) -> str:
        """What was read."""
        lines = "".join(self._pieces).split("\n")
        return "\n".join(" ".join(one.split(" ")).strip(" ") for one in lines)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See a tag open."""
        given = {key: value or "" for key, value in attrs}
        if tag in HIDDEN:
            self._hidden.append(tag)
        elif tag == "a":
            self._extract.link(given.get("href", ""))
        elif tag == "title":
            self._in_title = True
        elif tag == "meta":
            self._meta(given)
        elif tag == "html" and given.get("lang"):
            self._extract.facts.setdefault("declared_language", line(given["lang"], 20))
        elif tag == "img" and given.get("alt"):
            self._write(f" {given['alt']} ")
        self._open_table(tag)
        self._in_pre += tag == "pre"
        if tag == "br" or tag in BLOCKS:
            self._write("\n")

    def _open_table(self, tag: str) -> None:
        if tag == "table":
            self._tables.append([])
        elif tag == "tr" and self._tables:
            self._tables[-1].append([])
        elif tag in {"td", "th"}:
            self._end_cell()
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        """See a tag close."""
        if self._hidden and tag == self._hidden[-1]:
            self._hidden.pop()
            return
        if tag in {"td", "th", "tr", "table"}:
            self._end_cell()
        if tag == "table" and self._tables:
            rows = [row for row in self._tables.pop() if row]
            self._extract.table("the page", rows)
        if tag == "title":
            self._in_title = False
        self._in_pre -= tag == "pre" and self._in_pre > 0
        if tag in BLOCKS:
            self._write("\n")

    def handle_data(self, data: str) -> None:
        """Take text."""
        if self._in_title and not self._hidden:
            told = self._extract.facts.get("title", "")
            self._extract.facts["title"] = line(f"{told} {data}")
            return
        self._write(data if self._in_pre else SPACES.sub(" ", data))

    def _write(self, text: str) -> None:
        if self._hidden:
            return
        if self._cell is not None:
            self._cell.append(text)
        else:
            self._pieces.append(text)

    def _end_cell(self) -> None:
        """Put a cell behind the one before it on the row's line."""
        if self._cell is None:
            return
        cell = " ".join("".join(self._cell).split())
        self._cell = None
        if self._tables and self._tables[-1]:
            self._tables[-1][-1].append(cell)
        self._write(f"{cell}\t")

    def _meta(self, given: dict[str, str]) -> None:
        names = {"author": "author", "description": "description", "keywords": "keywords"}
        names["generator"] = "producer"
        ours = names.get(given.get("name", "").lower())
        if ours and given.get("content"):
            self._extract.facts.setdefault(ours, line(given["content"]))
