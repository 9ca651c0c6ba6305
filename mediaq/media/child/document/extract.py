"""What is read from a document: its text in parts, and what the format says of links and tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mediaq.media.child.document.words import clean, line

MAX_LINKS = 500
MAX_TABLES = 200
MAX_HEADER = 30
MAX_CELL = 100


@dataclass(slots=True)
class Part:
    """A page, slide, sheet or message; ``confidence`` is the recogniser's, 0 to 1."""

    number: int
    text: str
    title: str = ""
    method: str = "text"
    confidence: float | None = None


@dataclass(slots=True)
class Table:
    """A table that the format itself marks as one."""

    place: str
    rows: int
    columns: int
    header: list[str]

    def told(self) -> dict[str, Any]:
        """Give it in JSON."""
        header = [line(cell, MAX_CELL) for cell in self.header[:MAX_HEADER]]
        return {
            "place": line(self.place),
            "rows": self.rows,
            "columns": self.columns,
            "header": header,
        }


@dataclass(slots=True)
class Extract:
    """Everything read; ``part`` says what a part is, ``notes`` what was left out, in sentences."""

    part: str
    parts: list[Part] = field(default_factory=list)
    links: dict[str, None] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def link(self, address: str) -> None:
        """Keep the address of a link to the outside, once."""
        sound = line(address)
        outside = sound.lower().startswith(("http://", "https://", "mailto:"))
        if outside and len(self.links) < MAX_LINKS:
            self.links.setdefault(sound)

    def table(self, place: str, rows: list[list[str]]) -> None:
        """Note a table with its first row."""
        if rows and len(self.tables) < MAX_TABLES:
            self.tables.append(Table(place, len(rows), max(map(len, rows)), rows[0]))


def joined(extract: Extract, limit: int) -> tuple[str, list[dict[str, Any]]]:
    """Join the parts, ``limit`` characters at most, and say where in the text each stands."""
    text, places = "", []
    pieces: list[str] = []
    length = 0
    for part in extract.parts:
        own = clean(part.text)
        if not own:
            continue
        gap = "\n\n" if pieces else ""
        room = limit - length - len(gap)
        if room <= 0 or len(own) > room:
            extract.notes.append(
                f"The text is longer than {limit:,} characters, the limit;"
                f" it was cut in {extract.part} {part.number}."
            )
        own = own[: max(0, room)]
        if not own:
            break
        start = length + len(gap)
        pieces += [gap, own]
        length = start + len(own)
        place: dict[str, Any] = {
            "number": part.number,
            "start": start,
            "end": length,
            "method": part.method,
        }
        if part.title:
            place["title"] = line(part.title, MAX_CELL)
        if part.confidence is not None:
            place["confidence"] = round(part.confidence, 4)
        places.append(place)
        if length >= limit:
            break
    text = "".join(pieces)
    return text, places
