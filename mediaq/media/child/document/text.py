"""The work ``document_text``: a document's text, written to a file in reading order."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediaq.media.child.document import damage, hands
from mediaq.media.child.document.bounds import Bounds
from mediaq.media.child.document.extract import Extract, Part, joined
from mediaq.media.child.document.readers import reader
from mediaq.media.child.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from mediaq.media.child.document.ocr import Recogniser

# Reading letters is quick, reading pictures of them is not.
QUICK = 0.3
OCR_SIDE = 2400


def document_text(job: dict[str, Any], tell: Callable[[float, str], None]) -> dict[str, Any]:
    """Read the source and write its text to ``into``/text.txt.

    The answer has the fields of ``mediaq.steps.text_analysis.Reading``.
    """
    bounds = Bounds(**job["bounds"])
    with damage.refused(job["name"]):
        extract = _extract(job, bounds, tell)
    text, places = joined(extract, bounds.text_chars)
    path = Path(job["into"]) / "text.txt"
    path.write_text(text, encoding="utf-8")
    return {
        "path": str(path),
        "characters": len(text),
        "part": extract.part,
        "parts": places,
        "links": list(extract.links),
        "tables": [table.told() for table in extract.tables],
        "notes": extract.notes,
        "missing": extract.facts.get("missing"),
    }


def _extract(job: dict[str, Any], bounds: Bounds, tell: Callable[[float, str], None]) -> Extract:
    path, name, form = job["source"], job["name"], job["form"]
    if form == "pdf":
        return _pdf(path, name, Path(job["into"]), bounds, tell)
    if form == "image":
        return _image(path, name, bounds, tell)
    tell(0.0, "reading text")
    return reader(form)(path, name, bounds)


def _pdf(
    path: str, name: str, into: Path, bounds: Bounds, tell: Callable[[float, str], None]
) -> Extract:
    """Read a PDF's pages side by side; those that are pictures only are read by their looks."""
    from mediaq.media.child.document import pdf

    extract = Extract("page")
    with contextlib.closing(pdf.open_pdf(path, name)) as document:
        count = len(document)
    pages = range(min(count, bounds.pages))
    if count > bounds.pages:
        extract.notes.append(
            f"Only the first {bounds.pages:,} of {count:,} pages were read, the limit."
        )

    def begin() -> hands.Do:
        opened = pdf.open_pdf(path, name)

        def do(number: int) -> dict[str, Any]:
            text, shows = pdf.read_page(opened, number)
            return {"text": text, "shows": shows}

        return do

    def count_done(done: int) -> None:
        tell(QUICK * done / len(pages), "reading text")

    done = hands.each(pages, begin, bounds.page_seconds, count_done)
    for number, why in sorted(done.failed.items()):
        extract.notes.append(f"Page {number + 1} {why} and was left out.")
    for number, told in sorted(done.pages.items()):
        extract.parts.append(Part(number + 1, told["text"]))
    scans = [part for part in extract.parts if done.pages[part.number - 1]["shows"]]

    def picture(part: Part) -> Image.Image | None:
        return _scan(path, name, part.number - 1, into / f"scan-{part.number}.png", bounds)

    _recognise(extract, scans, picture, bounds, tell)
    return extract


def _scan(path: str, name: str, number: int, scan: Path, bounds: Bounds) -> Image.Image | None:
    """Draw a page for the recogniser in a process of its own; None when that fails."""
    from PIL import Image

    from mediaq.media.child.document import pdf

    def begin() -> hands.Do:
        document = pdf.open_pdf(path, name)

        def do(_: int) -> dict[str, Any]:
            pdf.scan_page(document, number, OCR_SIDE).convert("RGB").save(scan, compress_level=1)
            return {}

        return do

    if hands.each([number], begin, bounds.page_seconds, lambda _: None).failed:
        return None
    with Image.open(scan) as opened:
        opened.load()
    scan.unlink()
    return opened


def _image(path: str, name: str, bounds: Bounds, tell: Callable[[float, str], None]) -> Extract:
    """Read a picture, or each page of one, by its looks."""
    from mediaq.media.child.document import pictures

    opened = pictures.open_picture(path, name, bounds)
    count = pictures.pages_of(opened)
    extract = Extract("page")
    extract.parts = [Part(number + 1, "") for number in range(min(count, bounds.pages))]

    def picture(part: Part) -> Image.Image:
        page = pictures.page_of(opened, part.number - 1, bounds)
        return pictures.shrink(page, OCR_SIDE)

    _recognise(extract, extract.parts, picture, bounds, tell)
    return extract


def _recognise(
    extract: Extract,
    scans: list[Part],
    picture: Callable[[Part], Image.Image | None],
    bounds: Bounds,
    tell: Callable[[float, str], None],
) -> None:
    """Fill the parts in ``scans`` with what can be read in their pictures."""
    from mediaq.media.child.document.ocr import Missing, Recogniser

    if not scans:
        return
    recogniser: Recogniser | None = None
    some = scans[: bounds.ocr_pages]
    for count, part in enumerate(some):
        tell(QUICK + (1 - QUICK) * count / len(some), f"recognising text on page {part.number}")
        try:
            shown = picture(part)
        except Refusal as refusal:
            extract.notes.append(f"Page {part.number} {refusal.message} and was left out.")
            continue
        if shown is None:
            extract.notes.append(f"Page {part.number} could not be drawn and was left out.")
            continue
        try:
            recogniser = recogniser or Recogniser()
        except Missing as missing:
            extract.facts["missing"] = str(missing)
            extract.notes.append(
                f"Pages that are pictures ({len(scans)}) were not read: {missing}."
            )
            return
        part.text, part.confidence = recogniser.read(shown)
        part.method = "ocr"
    if len(scans) > len(some):
        extract.notes.append(
            f"Only {bounds.ocr_pages:,} of {len(scans):,} pages that are pictures were read,"
            " the limit."
        )
