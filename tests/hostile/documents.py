"""Documents that burst, never end, or ask for another file."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

from tests.hostile.films import Make, raw

MIB = 1024 * 1024
ENTITY = '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "{where}">]>'
LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a0 "ha">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    + "]>"
)
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/'
    'content-types"><Default Extension="xml" ContentType="application/xml"/><Default'
    ' Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/{part}" ContentType="application/vnd.openxmlformats-officedocument.'
    '{kind}.main+xml"/></Types>'
)
RELATIONS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
    'relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/'
    '2006/relationships/officeDocument" Target="{part}"/></Relationships>'
)


def _pdf(objects: list[bytes], *, trailer: bytes = b"") -> bytes:
    """Put objects together, the first being the catalog, with a sound table of places."""
    out = io.BytesIO(b"%PDF-1.7\n")
    out.seek(0, io.SEEK_END)
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, content))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    out.write(b"trailer\n<< /Size %d /Root 1 0 R %s >>\n" % (size, trailer))
    out.write(b"startxref\n%d\n%%%%EOF\n" % start)
    return out.getvalue()


def _stream(content: bytes, facts: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), facts, content)


CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"
ONE_PAGE = b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>"
PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R /Resources %s >>"


def pdf_bomb(size: int) -> Make:
    """A page whose contents are so many spaces, packed twice."""

    def make(folder: Path) -> Path:
        packer = zlib.compressobj(9)
        block = b" " * MIB
        packed = b"".join(packer.compress(block) for _ in range(size // MIB)) + packer.flush()
        contents = _stream(zlib.compress(packed, 9), b"/Filter [/FlateDecode /FlateDecode]")
        path = folder / "bomb.pdf"
        path.write_bytes(_pdf([CATALOG, ONE_PAGE, PAGE % b"<< >>", contents]))
        return path

    return make


def pdf_nested(depth: int = 10, width: int = 10) -> Make:
    """A page that draws a form that draws ten forms that draw ten forms and so on."""
    first = 5
    objects = [CATALOG, ONE_PAGE, PAGE % b"<< /XObject << /X 5 0 R >> >>", _stream(b"/X Do")]
    for level in range(depth):
        below = first + level + 1
        facts = b"/Type /XObject /Subtype /Form /BBox [0 0 200 200]"
        if level < depth - 1:
            facts += b" /Resources << /XObject << /X %d 0 R >> >>" % below
        drawn = b"/X Do " * width if level < depth - 1 else b"0 0 1 1 re f"
        objects.append(_stream(drawn, facts))
    return raw("nested.pdf", _pdf(objects))


def pdf_of_pages(count: int) -> Make:
    """A PDF that shows one page so many times."""
    kids = b"3 0 R " * count
    pages = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (count, kids)
    return raw("pages.pdf", _pdf([CATALOG, pages, PAGE % b"<< >>", _stream(b"0 0 9 9 re f")]))


def pdf_asking(where: str) -> Make:
    """A PDF that opens an address and whose page's contents stand in another file."""
    catalog = (
        b"<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /URI /URI (%s) >>"
        b" /AA << /WC << /S /Launch /F (%s) >> >> >>"
    ) % (where.encode(), where.encode())
    contents = b"<< /Length 0 /F << /Type /Filespec /FS /URL /F (%s) >> >>\nstream\n\nendstream"
    return raw("asking.pdf", _pdf([catalog, ONE_PAGE, PAGE % b"<< >>", contents % where.encode()]))


PDFS = {
    "without pages": _pdf([CATALOG, b"<< /Type /Pages /Count 0 /Kids [] >>"]),
    "with pages in a circle": _pdf([CATALOG, b"<< /Type /Pages /Count 9 /Kids [2 0 R] >>"]),
    "that lies about its pages": _pdf([CATALOG, b"<< /Type /Pages /Count 2147483647 /Kids [] >>"]),
    "with a page of a light year": _pdf([
        CATALOG,
        ONE_PAGE,
        (PAGE % b"<< >>").replace(b"200 200", b"9999999 9999999"),
        _stream(b"0 0 9 9 re f"),
    ]),
    "under a password": _pdf(
        [
            CATALOG,
            ONE_PAGE,
            PAGE % b"<< >>",
            _stream(b"\x93\x12\x44"),
            b"<< /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >>" % (b"41" * 32, b"42" * 32),
        ],
        trailer=b"/Encrypt 5 0 R /ID [<00> <00>]",
    ),
    "cut off": _pdf([CATALOG, ONE_PAGE, PAGE % b"<< >>", _stream(b"0 0 9 9 re f")])[:200],
}  # fmt: skip


def office(
    kind: str = "wordprocessingml.document",
    part: str = "word/document.xml",
    text: str = "",
    more: dict[str, bytes] | None = None,
    name: str = "letter.docx",
) -> Make:
    """An office file whose main part is ``text``."""

    def make(folder: Path) -> Path:
        path = folder / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
            out.writestr("[Content_Types].xml", TYPES.format(part=part, kind=kind))
            out.writestr("_rels/.rels", RELATIONS.format(part=part))
            out.writestr(part, text)
            for other, content in (more or {}).items():
                out.writestr(other, content)
        return path

    return make


def word(prologue: str, inside: str) -> str:
    """A Word document of one paragraph."""
    return (
        f'{prologue}<w:document xmlns:w="{WORD}"><w:body><w:p><w:r><w:t>{inside}</w:t></w:r></w:p>'
        "</w:body></w:document>"
    )


def docx_bomb(size: int) -> Make:
    """A Word document of one paragraph of so many letters."""

    def make(folder: Path) -> Path:
        path = office(text="")(folder)
        head, tail = word("", "|").split("|")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as out:
            out.writestr(
                "[Content_Types].xml",
                TYPES.format(part="word/document.xml", kind="wordprocessingml.document"),
            )
            out.writestr("_rels/.rels", RELATIONS.format(part="word/document.xml"))
            with out.open("word/document.xml", "w", force_zip64=True) as part:
                part.write(head.encode())
                block = b"a" * MIB
                for _ in range(size // MIB):
                    part.write(block)
                part.write(tail.encode())
        return path

    return make


def zip_overlap(entries: int, size: int, name: str = "letter.docx") -> Make:
    """An archive of so many entries that are all the same bytes of the file."""

    def make(folder: Path) -> Path:
        path = folder / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
            out.writestr("word/document.xml", bytes(size))
        content = path.read_bytes()
        at = content.index(b"PK\x01\x02")
        end = content.index(b"PK\x05\x06")
        listing = content[at:end] * entries
        closing = b"PK\x05\x06" + struct.pack(
            "<HHHHIIH", 0, 0, entries, entries, len(listing), at, 0
        )
        path.write_bytes(content[:at] + listing + closing)
        return path

    return make


def svg(prologue: str, inside: str, size: str = "100") -> Make:
    text = (
        f'{prologue}<svg xmlns="http://www.w3.org/2000/svg"'
        f' xmlns:xlink="http://www.w3.org/1999/xlink" width="{size}" height="{size}">'
        f"{inside}</svg>"
    )
    return raw("picture.svg", text.encode())


def html(where: str) -> Make:
    text = (
        f'<!doctype html><link rel="stylesheet" href="{where}"><img src="{where}">'
        f'<script src="{where}"></script><iframe src="{where}"></iframe><p>Harmless.</p>'
    )
    return raw("page.html", text.encode())


def mail(depth: int) -> Make:
    """A message in a message in a message."""
    head = "".join(
        f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n' for n in range(depth)
    )
    return raw("mail.eml", f"From: a@example.org\nSubject: deep\n{head}\nhello\n".encode())
