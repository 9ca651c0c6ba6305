# ruff: noqa: E501 - XML in one piece
"""Documents made by code: PDF written by hand, office files zipped, mail, pictures."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

A4 = (595, 842)

PARAGRAPHS = (
    "The harbour of Port Ellery was rebuilt in 1923 after the great storm.",
    "Fishing boats leave the harbour before dawn and return with herring in the evening.",
    "The lighthouse keeper, Martha Quill, wrote a diary about every storm for forty years.",
    "Her diary describes how the harbour wall broke and how the fishing boats were lost.",
    "Today the diary of Martha Quill is kept in the museum of Port Ellery.",
    "Visitors can read the diary at https://museum.example/diary or write to desk@museum.example.",
    "The museum opens at nine and closes at five, except on Mondays.",
    "A new harbour wall protects the fishing boats from every storm of the winter.",
)
PROSE = " ".join(PARAGRAPHS)

Line = tuple[float, float, str]
"""Left, bottom, text."""


def pdf(
    path: Path,
    pages: Sequence[Sequence[Line]],
    *,
    info: Mapping[str, str] | None = None,
    pictures: Mapping[int, Image.Image] | None = None,
    extra: Sequence[str] = (),
    size: tuple[float, float] = A4,
) -> Path:
    """Write a PDF with lines of Helvetica, and a picture that fills the page where one is given."""
    contents = [
        "".join(f"BT /F1 11 Tf {x} {y} Td ({_escaped(text)}) Tj ET\n" for x, y, text in lines)
        for lines in pages
    ]
    return raw_pdf(
        path,
        [more + text for more, text in zip([*extra, *[""] * len(pages)], contents, strict=False)],
        info=info,
        pictures=pictures,
        size=size,
    )


def raw_pdf(
    path: Path,
    contents: Sequence[str],
    *,
    info: Mapping[str, str] | None = None,
    pictures: Mapping[int, Image.Image] | None = None,
    size: tuple[float, float] = A4,
) -> Path:
    """Write a PDF with the given content streams."""
    objects: list[bytes] = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        ("<< " + " ".join(f"/{k} ({_escaped(v)})" for k, v in (info or {}).items()) + " >>").encode(
            "latin-1"
        ),
    ]
    kids = []
    for number, content in enumerate(contents):
        resources = "/Font << /F1 3 0 R >>"
        if pictures and number in pictures:
            picture = pictures[number]
            packed = io.BytesIO()
            picture.convert("RGB").save(packed, "JPEG", quality=90)
            head = (
                f"<< /Type /XObject /Subtype /Image /Width {picture.width} /Height {picture.height}"
                " /ColorSpace /DeviceRGB /BitsPerComponent 8 /Filter /DCTDecode"
            )
            objects.append(_stream(head, packed.getvalue()))
            resources += f" /XObject << /I {len(objects)} 0 R >>"
            drawn = f"q {size[0]} 0 0 {size[1]} 0 0 cm /I Do Q\n{content}"
        else:
            drawn = content
        objects.append(_stream("<< /Filter /FlateDecode", zlib.compress(drawn.encode("latin-1"))))
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {size[0]} {size[1]}]"
            f" /Resources << {resources} >> /Contents {len(objects)} 0 R >>".encode()
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>".encode()
    return assemble(path, objects, trailer="/Root 1 0 R /Info 4 0 R")


def assemble(path: Path, objects: Sequence[bytes], *, trailer: str) -> Path:
    """Write objects, their table and the trailer."""
    out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, one in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n" % number + one + b"\nendobj\n"
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for place in places:
        out += b"%010d 00000 n \n" % place
    out += (
        f"trailer\n<< /Size {len(objects) + 1} {trailer} >>\nstartxref\n{table}\n%%EOF\n".encode()
    )
    path.write_bytes(out)
    return path


def _stream(head: str, data: bytes) -> bytes:
    return f"{head} /Length {len(data)} >>\nstream\n".encode() + data + b"\nendstream"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def prose_page(number: int = 1) -> list[Line]:
    """Lay the paragraphs out below a heading."""
    lines: list[Line] = [(60, 780, f"Chapter {number}: The harbour")]
    return [*lines, *((60, 750 - 20 * i, text) for i, text in enumerate(PARAGRAPHS))]


def zipped(path: Path, parts: Mapping[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


TYPES = '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
P = "http://schemas.openxmlformats.org/presentationml/2006/main"
A = "http://schemas.openxmlformats.org/drawingml/2006/main"


def relations(targets: Mapping[str, tuple[str, str]]) -> str:
    rows = "".join(
        f'<Relationship Id="{key}" Type="{OFFICE}/{kind}" Target="{target}"'
        + (' TargetMode="External"' if "://" in target else "")
        + "/>"
        for key, (kind, target) in targets.items()
    )
    return (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f"{rows}</Relationships>"
    )


def core(title: str, author: str) -> str:
    return (
        '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/'
        'core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:dcterms="http://purl.org/dc/terms/">'
        f"<dc:title>{title}</dc:title><dc:creator>{author}</dc:creator>"
        "<dcterms:created>2024-05-06T07:08:09Z</dcterms:created></cp:coreProperties>"
    )


def docx(path: Path, paragraphs: Sequence[str] = PARAGRAPHS, prefix: str = "") -> Path:
    """A Word file with a table, a footer, a link, deleted and twice written text."""
    body = "".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in paragraphs)
    cells = "".join(
        "<w:tr>"
        + "".join(f"<w:tc><w:p><w:r><w:t>{cell}</w:t></w:r></w:p></w:tc>" for cell in row)
        + "</w:tr>"
        for row in (("Boat", "Crates"), ("Anna", "12"), ("Bertha", "7"))
    )
    more = (
        "<w:p><w:del><w:r><w:delText>removed words</w:delText></w:r></w:del></w:p>"
        '<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
        "<mc:Choice><w:p><w:r><w:t>boxed once</w:t></w:r></w:p></mc:Choice>"
        "<mc:Fallback><w:p><w:r><w:t>boxed once</w:t></w:r></w:p></mc:Fallback></mc:AlternateContent>"
    )
    return zipped(
        path,
        {
            "[Content_Types].xml": TYPES,
            "word/document.xml": f'{prefix}<w:document xmlns:w="{W}"><w:body>{body}'
            f"<w:tbl>{cells}</w:tbl>{more}</w:body></w:document>",
            "word/_rels/document.xml.rels": relations(
                {
                    "r1": ("hyperlink", "https://museum.example/visit"),
                    "r2": ("footer", "footer1.xml"),
                }
            ),
            "word/footer1.xml": f'<w:ftr xmlns:w="{W}"><w:p><w:r><w:t>Port Ellery Museum</w:t></w:r>'
            "</w:p></w:ftr>",
            "docProps/core.xml": core("A history", "Martha Quill"),
        },
    )


def xlsx(path: Path) -> Path:
    """An Excel file with two sheets: shared, inline, computed values and a gap."""
    shared = "".join(f"<si><t>{t}</t></si>" for t in ("Boat", "Crates", "Anna"))
    first = (
        '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>'
        '<row r="2"><c r="A2" t="s"><v>2</v></c><c r="B2"><f>6*2</f><v>12</v></c></row>'
        '<row r="3"><c r="A3" t="inlineStr"><is><t>Bertha</t></is></c><c r="D3" t="b"><v>1</v></c></row>'
    )
    return zipped(
        path,
        {
            "[Content_Types].xml": TYPES,
            "xl/workbook.xml": f'<workbook xmlns="{S}" xmlns:r="{OFFICE}"><sheets>'
            '<sheet name="Catch" sheetId="1" r:id="r1"/><sheet name="Notes" sheetId="2" r:id="r2"/>'
            "</sheets></workbook>",
            "xl/_rels/workbook.xml.rels": relations(
                {
                    "r1": ("worksheet", "worksheets/sheet1.xml"),
                    "r2": ("worksheet", "/xl/worksheets/sheet2.xml"),
                    "r3": ("sharedStrings", "sharedStrings.xml"),
                }
            ),
            "xl/sharedStrings.xml": f'<sst xmlns="{S}">{shared}</sst>',
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{S}"><sheetData>{first}</sheetData>'
            "</worksheet>",
            "xl/worksheets/sheet2.xml": f'<worksheet xmlns="{S}"><sheetData><row r="1">'
            '<c r="A1" t="str"><v>storm in May</v></c></row><row r="2"><c r="A2" s="1"><v>8535</v></c>'
            '<c r="B2" s="2"><v>45418.25</v></c><c r="C2" s="3"><v>0.75</v></c>'
            '<c r="D2"><v>0.30000000000000004</v></c></row></sheetData></worksheet>',
            "xl/styles.xml": f'<styleSheet xmlns="{S}"><numFmts><numFmt numFmtId="164"'
            ' formatCode="dd/mm/yyyy\\ hh:mm"/></numFmts><cellXfs><xf numFmtId="0"/>'
            '<xf numFmtId="14"/><xf numFmtId="164"/><xf numFmtId="20"/></cellXfs></styleSheet>',
            "docProps/core.xml": core("Catch of the year", "Harbour office"),
        },
    )


def pptx(path: Path) -> Path:
    """A PowerPoint file whose slides are shown in another order than they are numbered."""

    def slide(*texts: str) -> str:
        shapes = "".join(
            f"<p:sp><p:txBody><a:p><a:r><a:t>{t}</a:t></a:r></a:p></p:txBody></p:sp>" for t in texts
        )
        number = (
            '<p:sp><p:nvSpPr><p:nvPr><p:ph type="sldNum"/></p:nvPr></p:nvSpPr><p:txBody><a:p><a:r>'
            "<a:t>99</a:t></a:r></a:p></p:txBody></p:sp>"
        )
        return f'<p:sld xmlns:p="{P}" xmlns:a="{A}"><p:cSld><p:spTree>{shapes}{number}</p:spTree></p:cSld></p:sld>'

    return zipped(
        path,
        {
            "[Content_Types].xml": TYPES,
            "ppt/presentation.xml": f'<p:presentation xmlns:p="{P}" xmlns:r="{OFFICE}"><p:sldIdLst>'
            '<p:sldId id="256" r:id="r2"/><p:sldId id="257" r:id="r1"/></p:sldIdLst></p:presentation>',
            "ppt/_rels/presentation.xml.rels": relations(
                {"r1": ("slide", "slides/slide1.xml"), "r2": ("slide", "slides/slide2.xml")}
            ),
            "ppt/slides/slide1.xml": slide("The wall today", "It holds."),
            "ppt/slides/slide2.xml": slide("The storm of 1923", PARAGRAPHS[0]),
            "ppt/slides/_rels/slide2.xml.rels": relations(
                {"r1": ("notesSlide", "../notesSlides/notesSlide1.xml")}
            ),
            "ppt/notesSlides/notesSlide1.xml": slide("Speak slowly here."),
            "docProps/core.xml": core("Two slides", "Martha Quill"),
        },
    )


EML = (
    "From: Martha Quill <martha@museum.example>\r\n"
    "To: desk@museum.example\r\n"
    "Subject: =?utf-8?q?The_gr=C3=B6=C3=9Fte_storm?=\r\n"
    "Date: Mon, 06 May 2024 07:08:09 +0200\r\n"
    "MIME-Version: 1.0\r\n"
    'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    "--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n\r\nDer gr=F6=DFte Sturm war 1923.\r\n"
    "--b\r\nContent-Type: application/pdf\r\n"
    'Content-Disposition: attachment; filename="wall.pdf"\r\n\r\n%PDF\r\n--b--\r\n'
)

HTML = (
    "<!DOCTYPE html><html lang='en'><head><title>The harbour</title>"
    "<meta name='author' content='Martha Quill'><style>p { color: red }</style></head><body>"
    "<script>alert('never shown')</script><h1>The storm</h1><p>It broke the <b>wall</b>.</p>"
    "<table><tr><th>Boat</th><th>Crates</th></tr><tr><td>Anna</td><td>12</td></tr></table>"
    "<p><a href='https://museum.example/wall'>More &amp; more</a></p></body></html>"
)

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 100"><rect width="100" height="100"'
    ' fill="red"/><text x="10" y="50">Harbour plan</text></svg>'
)


def picture(size: tuple[int, int] = (640, 480), mark: str = "") -> Image.Image:
    """A picture whose upper left quarter is red; ``mark`` is written large in black on white."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    if mark:
        draw.multiline_text((40, 40), mark, "black", font=ImageFont.load_default(32), spacing=16)
    else:
        draw.rectangle((0, 0, size[0] // 2 - 1, size[1] // 2 - 1), fill="red")
    return image
