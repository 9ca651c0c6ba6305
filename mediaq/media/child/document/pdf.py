"""PDF by pdfium: opening, what it says of itself, its pages as text and as pictures."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pypdfium2
from pypdfium2 import raw

from mediaq.media.child.document.reading import page_text
from mediaq.media.child.document.words import clean
from mediaq.media.child.refusal import Refusal

if TYPE_CHECKING:
    from PIL import Image

POINTS_PER_INCH = 72
MM_PER_POINT = 25.4 / POINTS_PER_INCH
# What scanners use for reading; more helps no recogniser and costs four times as much.
OCR_DPI = 200
FACTS = {
    "Title": "title",
    "Author": "author",
    "Subject": "subject",
    "Keywords": "keywords",
    "Creator": "creator",
    "Producer": "producer",
}
DATE = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:(Z)|([+-])(\d\d)'?(\d\d)?)?")
NO_PAGES = re.compile(rb"/Kids\s*\[\s*\]")
HEAD = 1024 * 1024
# A page of more characters is no page that anyone reads.
PAGE_CHARS = 1_000_000


def open_pdf(path: str, name: str) -> pypdfium2.PdfDocument:
    """Open a PDF that has pages, or say why it cannot be read."""
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == raw.FPDF_ERR_PASSWORD:
            msg = f"{name} is encrypted: it can only be opened with its password"
            raise Refusal(msg) from None
        if getattr(error, "err_code", None) == raw.FPDF_ERR_SECURITY:
            msg = f"{name} is encrypted in a way that is not supported"
            raise Refusal(msg) from None
        # pdfium calls that damaged too.
        with Path(path).open("rb") as file:
            head = file.read(HEAD)
        if NO_PAGES.search(head):
            msg = f"{name} is a PDF without pages"
        else:
            msg = f"{name} is not a PDF that can be read: it is damaged"
        raise Refusal(msg) from None
    if len(document) == 0:
        msg = f"{name} is a PDF without pages"
        raise Refusal(msg)
    return document


def metadata(document: pypdfium2.PdfDocument) -> dict[str, Any]:
    """Read the facts of the information dictionary and the shape of the first page."""
    told = document.get_metadata_dict(skip_empty=True)
    facts: dict[str, Any] = {ours: clean(told[key]) for key, ours in FACTS.items() if key in told}
    facts["created"] = date(told.get("CreationDate", ""))
    facts["modified"] = date(told.get("ModDate", ""))
    version = document.get_version()
    facts["format"] = "PDF" if version is None else f"PDF {version // 10}.{version % 10}"
    facts["pages"] = len(document)
    width, height = document.get_page_size(0)
    facts["page_width_mm"] = round(width * MM_PER_POINT, 1)
    facts["page_height_mm"] = round(height * MM_PER_POINT, 1)
    facts["tagged"] = document.is_tagged()
    facts["attachments"] = document.count_attachments()
    forms = {raw.FORMTYPE_ACRO_FORM: "AcroForm", raw.FORMTYPE_NONE: None}
    facts["form_fields"] = forms.get(document.get_formtype(), "XFA")
    # A document that opens without password may still be encrypted with an empty one.
    facts["encrypted"] = raw.FPDF_GetSecurityHandlerRevision(document) >= 0
    return {key: value for key, value in facts.items() if value not in {None, ""}}


def date(text: str) -> str | None:
    """Read a PDF date (ISO 32000-1, 7.9.4) as ISO 8601; None when there is none."""
    found = DATE.match(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(p) if p else 0 for p in found.groups()[:6])
    zone: timezone | None = None
    if found[7]:
        zone = UTC
    elif found[8]:
        minutes = int(found[9]) * 60 + int(found[10] or 0)
        zone = timezone(timedelta(minutes=-minutes if found[8] == "-" else minutes))
    try:
        when = datetime(year, month or 1, day or 1, hour, minute, second, tzinfo=zone)
    except ValueError:
        return None
    return when.isoformat()


def read_page(document: pypdfium2.PdfDocument, number: int) -> tuple[str, bool]:
    """Give a page's text in reading order, and whether it shows anything that is no text."""
    page = _page(document, number)
    text = clean(page_text(page, PAGE_CHARS))
    if text:
        return text, False
    shown = {raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_FORM, raw.FPDF_PAGEOBJ_PATH}
    objects = (raw.FPDFPage_GetObject(page, i) for i in range(raw.FPDFPage_CountObjects(page)))
    return "", any(raw.FPDFPageObj_GetType(one) in shown for one in objects)


def draw_page(document: pypdfium2.PdfDocument, number: int, side: int) -> Image.Image:
    """Draw a page so that its longer side has ``side`` pixels."""
    page = _page(document, number)
    longer = max(page.get_size())
    return _draw(page, side / longer if longer else 0)


def scan_page(document: pypdfium2.PdfDocument, number: int, most: int) -> Image.Image:
    """Draw a page for reading by its looks, ``most`` pixels a side at most."""
    page = _page(document, number)
    longer = max(page.get_size())
    scale = min(OCR_DPI / POINTS_PER_INCH, most / longer) if longer else 0
    return _draw(page, scale)


def _page(document: pypdfium2.PdfDocument, number: int) -> pypdfium2.PdfPage:
    try:
        return document[number]
    except pypdfium2.PdfiumError:
        msg = "is damaged"
        raise Refusal(msg) from None


def _draw(page: pypdfium2.PdfPage, scale: float) -> Image.Image:
    width, height = page.get_size()
    if not (scale > 0 and width * scale >= 1 and height * scale >= 1):
        msg = f"has no size that can be drawn ({width:g} x {height:g} points)"
        raise Refusal(msg)
    # With a fourth, unused byte a pixel is as Pillow keeps it: no copy is made.
    bitmap = page.render(scale=scale, rev_byteorder=True, prefer_bgrx=True)
    picture: Image.Image = bitmap.to_pil()
    return picture
