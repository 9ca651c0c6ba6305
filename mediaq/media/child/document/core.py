"""What office files say of themselves: the core and the application properties."""

from __future__ import annotations

from typing import Any

from mediaq.media.child.document.archive import Archive
from mediaq.media.child.document.bounds import Bounds
from mediaq.media.child.document.words import line

FACTS = {
    "title": "title",
    "creator": "author",
    "subject": "subject",
    "keywords": "keywords",
    "description": "description",
    "lastModifiedBy": "last_modified_by",
    "created": "created",
    "modified": "modified",
    "Application": "producer",
    "Company": "company",
}
COUNTS = {"Pages": "pages", "Slides": "slides", "Words": "words"}
PARTS = ("docProps/core.xml", "docProps/app.xml")


def properties(path: str, name: str, bounds: Bounds) -> dict[str, Any]:
    """Read the properties; counts are what the program that saved the file said."""
    facts: dict[str, Any] = {}
    inside: list[str] = []

    def start(tag: str, _attributes: dict[str, str]) -> None:
        inside.append(tag.rpartition(" ")[2])

    def letters(text: str) -> None:
        own = inside[-1] if inside else ""
        if own in FACTS:
            facts[FACTS[own]] = line(facts.get(FACTS[own], "") + text)
        elif own in COUNTS and text.strip().isdigit() and len(text) < 10:  # noqa: PLR2004 - no count
            facts[COUNTS[own]] = int(text)

    def end(_tag: str) -> None:
        inside.pop()

    with Archive(path, name, bounds.expanded_bytes) as archive:
        for part in PARTS:
            archive.read(part, start=start, end=end, letters=letters)
        facts["macros"] = bool(archive.names("", "vbaProject.bin"))
    # A program that writes 0 pages or slides has not counted them.
    return {key: value for key, value in facts.items() if value not in {0, ""} or value is False}
