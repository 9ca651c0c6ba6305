"""Documents made to do harm end within bounds, in a sentence, and what is sound in them is read."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import struct
import time
import zipfile
import zlib
from pathlib import Path

import pytest
from PIL import Image

from mediaq.errors import Rejected
from mediaq.media import process
from mediaq.media.child.document.bounds import Bounds
from mediaq.media.local import LocalMedia
from mediaq.steps.document_metadata import DocumentMetadata
from mediaq.steps.previews import Pages
from mediaq.steps.text_analysis import Reading
from tests import papers

QUICK = Bounds(page_seconds=2, pixels=4_000_000, expanded_bytes=20 * 1024 * 1024)
OPTIONS = {
    "frames": None,
    "format": "jpeg",
    "thumb_width": 160,
    "timestamps": True,
    "columns": 2,
    "rows": 3,
}


@pytest.fixture
def bounded() -> LocalMedia:
    return LocalMedia(60, bounds=QUICK)


async def text_of(media: LocalMedia, path: Path, form: str) -> tuple[str, Reading]:
    read = await media.ask(
        "document_text", path, Reading, title=path.name, into=str(path.parent), form=form
    )
    return read.path.read_text("utf-8"), read


async def drawn(media: LocalMedia, path: Path, form: str) -> Pages:
    return await media.ask(
        "previews",
        path,
        Pages,
        title=path.name,
        into=str(path.parent),
        form=form,
        options=OPTIONS,
    )


def children() -> set[int]:
    """The processes that this one and its own have started and that still run."""
    found, waiting = set(), {os.getpid()}
    while waiting:
        pid = waiting.pop()
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            own = {int(child) for child in task.read_text().split()}
            waiting |= own - found
            found |= own
    return found


# PDF


def nested(path: Path) -> Path:
    """A first page that draws ten billion times, and a second that is sound."""
    forms = []
    for level in range(10):
        inner = f"/X {level + 6} 0 R" if level < 9 else ""
        content = b"/X Do " * 10 if level < 9 else b"0 0 1 1 re f"
        head = (
            "<< /Type /XObject /Subtype /Form /BBox [0 0 600 900]"
            f" /Resources << /XObject << {inner} >> >> /Length {len(content)} >>"
        )
        forms.append(head.encode() + b"\nstream\n" + content + b"\nendstream")
    text = b"BT /F1 11 Tf 60 700 Td (This page is sound.) Tj ET"
    after = 5 + len(forms)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [3 0 R {after} 0 R] /Count 2 >>".encode(),
        (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
            b" /Resources << /XObject << /X 5 0 R >> >> >>"
        ),
        b"<< /Length 5 >>\nstream\n/X Do\nendstream",
        *forms,
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {after + 1} 0 R"
        f" /Resources << /Font << /F1 {after + 2} 0 R >> >> >>".encode(),
        f"<< /Length {len(text)} >>\nstream\n".encode() + text + b"\nendstream",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    return papers.assemble(path, objects, trailer="/Root 1 0 R")


async def test_a_page_that_never_ends_costs_itself_only(
    bounded: LocalMedia, tmp_path: Path
) -> None:
    path = nested(tmp_path / "a.pdf")
    before = children()
    made = await drawn(bounded, path, "pdf")
    assert [page.number for page in made.pages] == [2]
    assert made.notes == ("Page 1 took longer than 2 s and was left out.",)
    text, read = await text_of(bounded, path, "pdf")
    assert "This page is sound." in text
    assert [part.number for part in read.parts] == [2]
    assert children() <= before


async def test_a_page_that_unpacks_without_end_is_left_out(
    bounded: LocalMedia, tmp_path: Path
) -> None:
    """Seven hundred megabytes in some kilobytes."""
    squeeze = zlib.compressobj(9)
    once = b"".join(squeeze.compress(b"0 0 1 1 re f " * 80_660) for _ in range(700))
    data = zlib.compress(once + squeeze.flush(), 9)
    head = f"<< /Filter [/FlateDecode /FlateDecode] /Length {len(data)} >>\nstream\n"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R 3 0 R] /Count 2 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R >>",
        head.encode() + data + b"\nendstream",
    ]
    path = papers.assemble(tmp_path / "a.pdf", objects, trailer="/Root 1 0 R")
    assert path.stat().st_size < 100_000
    before = time.monotonic()
    with pytest.raises(Rejected, match=r"no page of a\.pdf could be drawn"):
        await drawn(bounded, path, "pdf")
    assert time.monotonic() - before < 30


async def test_after_a_few_endless_pages_the_rest_is_left_out(tmp_path: Path) -> None:
    media = LocalMedia(60, bounds=Bounds(page_seconds=0.5))
    path = nested(tmp_path / "a.pdf")
    data = path.read_bytes().replace(
        b"/Kids [3 0 R 15 0 R] /Count 2", b"/Kids [" + b"3 0 R " * 40 + b"] /Count 40"
    )
    path.write_bytes(data)
    before = time.monotonic()
    with pytest.raises(Rejected, match=r"no page of a\.pdf could be drawn"):
        await drawn(media, path, "pdf")
    assert time.monotonic() - before < 20


async def test_cancelling_ends_the_hands_too(tmp_path: Path) -> None:
    media = LocalMedia(60, bounds=Bounds(page_seconds=60))
    path = nested(tmp_path / "a.pdf")
    before = children()
    told = asyncio.Event()

    async def progress(_part: float, _doing: str) -> None:
        told.set()

    work = asyncio.create_task(
        media.ask(
            "previews",
            path,
            Pages,
            title="a.pdf",
            progress=progress,
            into=str(tmp_path),
            form="pdf",
            options=OPTIONS,
        )
    )
    await told.wait()
    hands = children() - before
    assert len(hands) > 1
    watches = [os.pidfd_open(pid) for pid in hands]
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    # Killed in the same breath; being nobody's children, their ends are only seen from outside.
    for watch in watches:
        ended, _, _ = await asyncio.to_thread(select.select, [watch], [], [], 10)
        os.close(watch)
        assert ended


# Pictures


def png(path: Path, width: int, height: int) -> Path:
    """A picture of one colour that says it is this large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    squeeze = zlib.compressobj(9)
    rows = b"".join(squeeze.compress(bytes(1 + width // 8)) for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", rows + squeeze.flush())
        + chunk(b"IEND", b"")
    )
    return path


async def test_a_picture_of_too_many_pixels_is_refused_by_its_header(
    bounded: LocalMedia, tmp_path: Path
) -> None:
    path = png(tmp_path / "a.png", 15_000, 3_000)
    for work in (text_of, drawn):
        with pytest.raises(Rejected, match=r"a\.png has 15000 x 3000 pixels; 4 megapixels is the"):
            await work(bounded, path, "image")


async def test_a_large_page_behind_a_small_one_is_left_out(
    bounded: LocalMedia, tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    pages = [Image.new("1", (100, 100)), Image.new("1", (8000, 8000))]
    pages[0].save(path, save_all=True, append_images=pages[1:], compression="group4")
    made = await drawn(bounded, path, "image")
    assert [page.number for page in made.pages] == [1]
    (note,) = made.notes
    assert "pixels" in note


async def test_a_pdf_that_holds_a_picture_without_end_is_read_or_left_out(
    bounded: LocalMedia, tmp_path: Path
) -> None:
    squeeze = zlib.compressobj(9)
    data = b"".join(squeeze.compress(bytes(15_000)) for _ in range(15_000)) + squeeze.flush()
    head = (
        "<< /Type /XObject /Subtype /Image /Width 15000 /Height 15000 /ColorSpace /DeviceGray"
        f" /BitsPerComponent 8 /Filter /FlateDecode /Length {len(data)} >>\nstream\n"
    )
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
            b" /Resources << /XObject << /I 5 0 R >> >> >>"
        ),
        b"<< /Length 30 >>\nstream\nq 595 0 0 842 0 0 cm /I Do Q \nendstream",
        head.encode() + data + b"\nendstream",
    ]
    path = papers.assemble(tmp_path / "a.pdf", objects, trailer="/Root 1 0 R")
    before = time.monotonic()
    with contextlib.suppress(Rejected):
        await drawn(bounded, path, "pdf")
    assert time.monotonic() - before < 20


# Archives and XML


@pytest.mark.parametrize("form", ["docx", "xlsx", "pptx"])
async def test_an_office_file_that_says_it_is_huge_is_refused_before_it_is_unpacked(
    bounded: LocalMedia, tmp_path: Path, form: str
) -> None:
    path = {"docx": papers.docx, "xlsx": papers.xlsx, "pptx": papers.pptx}[form](tmp_path / "a.x")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("media/zeros", bytes(30 * 1024 * 1024))
    with pytest.raises(Rejected, match=r"a\.x would unpack to 30 MiB; 20 MiB is the limit"):
        await text_of(bounded, path, form)


async def test_an_office_file_that_lies_about_its_size_is_refused_as_it_streams(
    bounded: LocalMedia, tmp_path: Path
) -> None:
    path = papers.docx(tmp_path / "a.docx", ["word " * 1000] * 5000)
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo("word/document.xml").file_size
    path.write_bytes(data.replace(struct.pack("<I", size), struct.pack("<I", 50_000)))
    with pytest.raises(Rejected, match=r"a\.docx"):
        await text_of(bounded, path, "docx")


async def test_a_part_that_is_squeezed_too_well_is_refused(
    bounded: LocalMedia, tmp_path: Path
) -> None:
    path = papers.docx(tmp_path / "a.docx", ["x" * 10_000_000])
    with pytest.raises(Rejected, match="more than 200 times its size, the limit"):
        await text_of(bounded, path, "docx")


async def test_parts_that_overlap_are_refused(bounded: LocalMedia, tmp_path: Path) -> None:
    path = papers.docx(tmp_path / "a.docx")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("second.xml", bytes(500))
        archive.getinfo("second.xml").header_offset = 0
    with pytest.raises(Rejected, match="overlap"):
        await text_of(bounded, path, "docx")


ENTITIES = {
    "outside": '<!DOCTYPE x [<!ENTITY e SYSTEM "file://{canary}">]>',
    "bomb": "<!DOCTYPE x [<!ENTITY a 'ha'>"
    + "".join(
        f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]>",
    "parameter": '<!DOCTYPE x [<!ENTITY % p SYSTEM "file://{canary}"> %p;]>',
}


@pytest.mark.parametrize("what", ENTITIES)
async def test_entities_are_refused_and_nothing_outside_is_read(
    bounded: LocalMedia, tmp_path: Path, what: str
) -> None:
    canary = tmp_path / "canary"
    canary.write_text("SECRET")
    prefix = ENTITIES[what].replace("{canary}", str(canary))
    path = papers.docx(tmp_path / "a.docx", ["&e; &i;"], prefix=prefix)
    with pytest.raises(Rejected, match="declares a document type") as refused:
        await text_of(bounded, path, "docx")
    assert "SECRET" not in str(refused.value.details)
    drawing = tmp_path / "a.svg"
    drawing.write_text(prefix + papers.SVG.replace("Harbour", "&e;"))
    for work in (text_of, drawn):
        with pytest.raises(Rejected, match="declares XML entities"):
            await work(bounded, drawing, "svg")


@pytest.mark.parametrize(
    "inside",
    [
        '<image href="{canary}" width="100" height="100"/>',
        '<image xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="http://127.0.0.1/x.png"/>',
        '<rect style="fill: url(file:///x)" width="9" height="9"/>',
        "<style>@import 'http://127.0.0.1/x.css';</style>",
    ],
)
async def test_a_drawing_that_leads_outside_is_not_drawn(
    bounded: LocalMedia, tmp_path: Path, inside: str
) -> None:
    canary = tmp_path / "canary.png"
    papers.picture().save(canary)
    path = tmp_path / "a.svg"
    path.write_text(
        papers.SVG.replace("<rect", inside.replace("{canary}", str(canary)) + "<rect", 1)
    )
    with pytest.raises(Rejected, match="names something outside itself"):
        await drawn(bounded, path, "svg")
    told = await bounded.ask(
        "document_metadata", path, DocumentMetadata, title="a.svg", form="svg", gps=False
    )
    assert told.external_references == 1


@pytest.mark.parametrize("size", ['width="1e9" height="1e9"', 'viewBox="0 0 1 100000000"'])
async def test_an_endless_drawing_ends(bounded: LocalMedia, tmp_path: Path, size: str) -> None:
    path = tmp_path / "a.svg"
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {size}><circle r="9"/></svg>')
    before = time.monotonic()
    with contextlib.suppress(Rejected):
        made = await drawn(bounded, path, "svg")
        assert made.pages[0].width * made.pages[0].height <= QUICK.pixels
    assert time.monotonic() - before < 20


async def test_what_is_nested_without_end_is_refused(bounded: LocalMedia, tmp_path: Path) -> None:
    path = papers.docx(tmp_path / "a.docx", ["<w:r>" * 5000 + "</w:r>" * 5000])
    with pytest.raises(Rejected, match="nested more than 512 deep"):
        await text_of(bounded, path, "docx")
    page = tmp_path / "a.html"
    page.write_text("<div>" * 100_000 + "deep down")
    assert (await text_of(bounded, page, "html"))[0] == "deep down"


async def test_a_child_that_reads_documents_stays_below_its_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of what is allowed is enough for a text of the greatest length."""
    monkeypatch.setattr(process, "LIMITS", {**process.LIMITS, "AS": 1024**3})
    path = tmp_path / "a.txt"
    path.write_text("many words of one text " * 200_000)
    text, read = await text_of(LocalMedia(60), path, "text")
    assert len(text) == Bounds().text_chars
    assert "longer than" in read.notes[0]
