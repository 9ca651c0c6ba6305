"""The first bytes by which documents are known, and what other files seem to be."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

HEAD = 64 * 1024
# A PDF may stand behind some bytes of another protocol (ISO 32000-1, annex H.3.4.1).
PDF_WITHIN = 1024
PDF_LINE = re.compile(rb"%PDF-\d\.\d[ \t]*[\r\n]")

PICTURES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jpeg2000"),
)
BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})
# Brands of ISO base media files that hold still pictures (ISO/IEC 23008-12, AVIF 1.1).
STILL_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis"}
)
OFFICE = (
    ("word/document.xml", "docx"),
    ("xl/workbook.xml", "xlsx"),
    ("ppt/presentation.xml", "pptx"),
)


def picture(head: bytes) -> str | None:
    """Name the format of a still picture; GIF and PNG may move all the same."""
    for start, name in PICTURES:
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BMP_HEADERS:
        return "bmp"
    if head[4:8] == b"ftyp" and head[8:12] in STILL_BRANDS:
        return "avif" if head[8:10] == b"av" else "heif"
    return None


def is_pdf(head: bytes) -> bool:
    """Tell a PDF by its header, not by a text that speaks of one."""
    return head.startswith(b"%PDF-") or PDF_LINE.search(head[:PDF_WITHIN]) is not None


def archived(path: str) -> tuple[str | None, str]:
    """Name the office form that a zip archive holds, if one, and what the archive seems to be."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None, "a damaged zip archive"
    for name, form in OFFICE:
        if name in names and "[Content_Types].xml" in names:
            return form, form
    known = {
        "META-INF/container.xml": "an EPUB book",
        "META-INF/MANIFEST.MF": "a Java archive",
        "AndroidManifest.xml": "an Android package",
        "content.xml": "an OpenDocument file",
    }
    return None, next((what for name, what in known.items() if name in names), "a zip archive")


def seems(path: str, head: bytes) -> str:
    """Name what a file seems to be, for the sentence that refuses it; empty when unknown."""
    import puremagic

    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return "a file of Microsoft Office before 2007 (OLE)"
    try:
        guesses = puremagic.magic_string(head, str(Path(path).with_suffix("")))
    except (puremagic.PureError, ValueError):
        return ""
    # A signature of a byte or two, or of zeros, tells nothing.
    sound = [guess for guess in guesses if len(guess.byte_match.strip(b"\0")) > 1]
    if not sound:
        return ""
    best = max(sound, key=lambda guess: (guess.confidence, len(guess.byte_match)))
    if best.mime_type.startswith(("video/", "audio/", "image/")):
        # What it seems to be would be analysed: why it cannot be read tells more.
        return ""
    name = best.name.removesuffix(" file").strip()
    article = "an" if name[:1].lower() in "aeiou" else "a"
    return f"{article} {name}" + (f" ({best.mime_type})" if best.mime_type else "")
