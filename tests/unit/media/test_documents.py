"""What is read of documents made by code, each through the child process."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image, TiffImagePlugin

from mediaq.errors import Rejected
from mediaq.media.child.document.bounds import Bounds
from mediaq.media.ffmpeg import find_ffmpeg
from mediaq.media.local import LocalMedia
from mediaq.steps.document_metadata import DocumentMetadata, describe
from mediaq.steps.previews import Pages
from mediaq.steps.text_analysis import Reading
from tests import papers

OPTIONS: dict[str, Any] = {
    "frames": None,
    "format": "jpeg",
    "thumb_width": 160,
    "timestamps": True,
    "columns": 2,
    "rows": 3,
}


async def text_of(media: LocalMedia, path: Path, form: str) -> tuple[str, Reading]:
    into = path.parent / "text"
    into.mkdir(exist_ok=True)
    read = await media.ask(
        "document_text", path, Reading, title=path.name, into=str(into), form=form
    )
    text = read.path.read_text("utf-8")
    assert read.characters == len(text)
    for part in read.parts:
        assert 0 <= part.start < part.end <= len(text)
    return text, read


async def facts(media: LocalMedia, path: Path, form: str, *, gps: bool = False) -> DocumentMetadata:
    return await media.ask(
        "document_metadata", path, DocumentMetadata, title=path.name, form=form, gps=gps
    )


async def drawn(media: LocalMedia, path: Path, form: str, **options: Any) -> Pages:
    into = path.parent / "drawn"
    into.mkdir(exist_ok=True)
    return await media.ask(
        "previews",
        path,
        Pages,
        title=path.name,
        into=str(into),
        form=form,
        options={**OPTIONS, **options},
    )


# PDF


async def test_a_pdf_tells_its_facts(media: LocalMedia, tmp_path: Path) -> None:
    info = {"Title": "A history", "Author": "M. Quill", "CreationDate": "D:20240506070809+02'00'"}
    path = papers.pdf(tmp_path / "a.pdf", [papers.prose_page()] * 3, info=info)
    told = await facts(media, path, "pdf")
    assert (told.pages, told.title, told.author) == (3, "A history", "M. Quill")
    assert told.created == "2024-05-06T07:08:09+02:00"
    assert (told.format, told.encrypted, told.page_height_mm) == ("PDF 1.7", False, 297.0)
    assert told.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert describe(told) == "PDF 1.7, 3 pages, 209.9 x 297 mm, A history, M. Quill"


async def test_every_word_of_a_pdf_is_read_and_every_page_placed(
    media: LocalMedia, tmp_path: Path
) -> None:
    path = papers.pdf(tmp_path / "a.pdf", [papers.prose_page(n) for n in range(1, 21)])
    text, read = await text_of(media, path, "pdf")
    assert [part.number for part in read.parts] == list(range(1, 21))
    for part in read.parts:
        page = text[part.start : part.end]
        assert page.split("\n") == [f"Chapter {part.number}: The harbour", *papers.PARAGRAPHS]


def columns(*, by_row: bool) -> list[papers.Line]:
    left = [(60.0, 700.0 - 16 * i, f"left line number {i} of the page") for i in range(20)]
    right = [(320.0, 700.0 - 16 * i, f"right line number {i} of the page") for i in range(20)]
    pairs = zip(left, right, strict=True)
    body = [line for pair in pairs for line in pair] if by_row else [*left, *right]
    return [(60, 740, "A heading that stands above both of the columns of this page"), *body]


@pytest.mark.parametrize("by_row", [False, True])
async def test_columns_are_read_one_after_the_other(
    media: LocalMedia, tmp_path: Path, *, by_row: bool
) -> None:
    path = papers.pdf(tmp_path / "a.pdf", [columns(by_row=by_row)])
    text, _ = await text_of(media, path, "pdf")
    lines = [line for line in text.split("\n") if line]
    assert lines[0].startswith("A heading")
    assert [line.split()[0] for line in lines[1:]] == ["left"] * 20 + ["right"] * 20
    assert [int(line.split()[3]) for line in lines[1:]] == [*range(20), *range(20)]


async def test_the_cells_of_a_table_stay_on_their_rows(media: LocalMedia, tmp_path: Path) -> None:
    rows = [
        cell
        for i in range(15)
        for cell in ((60.0, 700.0 - 16 * i, f"boat {i}"), (350.0, 700.0 - 16 * i, f"{i} crates"))
    ]
    path = papers.pdf(tmp_path / "a.pdf", [[*rows, (60, 400, "x " * 90)]])
    text, _ = await text_of(media, path, "pdf")
    assert "boat 7 7 crates" in " ".join(text.split())


async def test_a_scanned_page_is_read_by_its_looks(media: LocalMedia, tmp_path: Path) -> None:
    scan = papers.picture((1240, 1680), "The harbour of Port Ellery\nwas rebuilt in 1923.")
    path = papers.pdf(
        tmp_path / "a.pdf", [papers.prose_page(), []], pictures={1: scan}, size=(620, 840)
    )
    text, read = await text_of(media, path, "pdf")
    assert [part.method for part in read.parts] == ["text", "ocr"]
    page = text[read.parts[1].start : read.parts[1].end]
    assert page == "The harbour of Port Ellery\nwas rebuilt in 1923."
    assert (read.parts[1].confidence or 0) > 0.9


async def test_pages_are_drawn_with_sheets_and_a_thumbnail_that_shows_something(
    media: LocalMedia, tmp_path: Path
) -> None:
    path = papers.pdf(tmp_path / "a.pdf", [[], *(papers.prose_page(n) for n in range(8))])
    made = await drawn(media, path, "pdf")
    assert [page.number for page in made.pages] == list(range(1, 10))
    for page in made.pages:
        with Image.open(page.path) as picture:
            assert picture.size == (page.width, page.height)
            assert picture.height == 1000
    assert [sheet.frame_count for sheet in made.sheets] == [6, 3]
    with Image.open(made.thumbnail.path) as picture:
        assert picture.width == 160
        # The first page is empty.
        darkest, _ = picture.convert("L").getextrema()
        assert isinstance(darkest, (int, float))
        assert darkest < 150
    assert sorted(path.name for path in made.pages[0].path.parent.iterdir()) == [
        *(f"page-{n:04}.jpg" for n in range(1, 10)),
        *("sheet-01.jpg", "sheet-02.jpg", "thumbnail.jpg"),
    ]


async def test_a_pdf_without_pages_or_with_a_password_is_refused_in_words(
    media: LocalMedia, tmp_path: Path
) -> None:
    empty = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [] /Count 0 >>"]
    path = papers.assemble(tmp_path / "a.pdf", empty, trailer="/Root 1 0 R")
    for work in (facts, text_of, drawn):
        with pytest.raises(Rejected, match=r"a\.pdf is a PDF without pages"):
            await work(media, path, "pdf")
    lock = "<< /Filter /Standard /V 1 /R 2 /P -4 /O <" + "aa" * 32 + "> /U <" + "bb" * 32 + "> >>"
    objects = [
        *(b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"),
        *(b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>", lock.encode()),
    ]
    trailer = "/Root 1 0 R /Encrypt 4 0 R /ID [<00> <00>]"
    path = papers.assemble(tmp_path / "a.pdf", objects, trailer=trailer)
    with pytest.raises(Rejected, match=r"a\.pdf is encrypted"):
        await text_of(media, path, "pdf")
    path.write_bytes(b"%PDF-1.7\nnothing of the kind")
    with pytest.raises(Rejected, match=r"a\.pdf is not a PDF that can be read"):
        await text_of(media, path, "pdf")


# Office files, pages, mail, text


async def test_a_word_file_is_read_with_its_tables_and_footers(
    media: LocalMedia, tmp_path: Path
) -> None:
    path = papers.docx(tmp_path / "a.docx")
    text, read = await text_of(media, path, "docx")
    assert text.split("\n")[: len(papers.PARAGRAPHS)] == list(papers.PARAGRAPHS)
    assert "Boat\tCrates\nAnna\t12\nBertha\t7" in text
    assert text.count("boxed once") == 1
    assert "removed" not in text
    assert text.endswith("Port Ellery Museum")
    (table,) = read.tables
    assert (table.rows, table.columns, table.header) == (3, 2, ("Boat", "Crates"))
    assert read.links == ("https://museum.example/visit",)
    told = await facts(media, path, "docx")
    assert (told.title, told.author, told.macros) == ("A history", "Martha Quill", False)


async def test_a_spreadsheet_is_read_sheet_by_sheet(media: LocalMedia, tmp_path: Path) -> None:
    text, read = await text_of(media, papers.xlsx(tmp_path / "a.xlsx"), "xlsx")
    first, second = text.split("\n\n")
    assert first == "Catch\nBoat\tCrates\nAnna\t12\nBertha\t\t\tTRUE"
    # Dates and times are written as they are meant, not as they are kept.
    assert second == "Notes\nstorm in May\n1923-05-14\t2024-05-06 06:00:00\t18:00:00\t0.3"
    assert [part.title for part in read.parts] == ["Catch", "Notes"]
    assert (read.tables[0].rows, read.tables[0].columns) == (3, 4)


async def test_slides_are_read_as_they_are_shown_with_their_notes(
    media: LocalMedia, tmp_path: Path
) -> None:
    text, read = await text_of(media, papers.pptx(tmp_path / "a.pptx"), "pptx")
    assert text.split("\n\n") == [
        f"The storm of 1923\n{papers.PARAGRAPHS[0]}",
        "Speak slowly here.",
        "The wall today\nIt holds.",
    ]
    assert [part.title for part in read.parts] == ["The storm of 1923", "The wall today"]


async def test_a_message_is_read_and_what_it_carries_is_named(
    media: LocalMedia, tmp_path: Path
) -> None:
    path = tmp_path / "a.eml"
    path.write_bytes(papers.EML.encode())
    text, _ = await text_of(media, path, "eml")
    assert "Subject: The größte storm" in text
    assert text.endswith("Der größte Sturm war 1923.")
    told = await facts(media, path, "eml")
    assert (told.subject, told.created) == ("The größte storm", "2024-05-06T07:08:09+02:00")
    assert [one.name for one in told.attached or ()] == ["wall.pdf"]


async def test_a_page_is_read_as_a_reader_sees_it(media: LocalMedia, tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text(papers.HTML)
    text, read = await text_of(media, path, "html")
    assert "never shown" not in text
    assert "color" not in text
    assert "It broke the wall." in text
    assert "More & more" in text
    assert read.links == ("https://museum.example/wall",)
    assert read.tables[0].header == ("Boat", "Crates")
    told = await facts(media, path, "html")
    assert (told.title, told.author, told.declared_language) == (
        *("The harbour", "Martha Quill", "en"),
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252", "cp1251", "shift_jis"])
async def test_text_is_read_in_its_encoding(
    media: LocalMedia, tmp_path: Path, encoding: str
) -> None:
    words = {
        "cp1251": "Вчера рыбаки вернулись в гавань очень поздно вечером, когда уже стемнело. ",
        "shift_jis": "昨日、漁師たちは夕方遅くに港に戻ってきました。海はとても静かでした。",
    }.get(encoding, "Die größten Fische schwimmen früh am Morgen über den Häfen. ")
    path = tmp_path / "a.txt"
    path.write_bytes((words * 8).encode(encoding))
    text, _ = await text_of(media, path, "text")
    assert text == (words * 8).strip()


async def test_a_table_of_values_tells_its_shape(media: LocalMedia, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('name;note\n"Anna";"two\nlines; here"\nBertha;x\n')
    _, read = await text_of(media, path, "csv")
    assert (read.tables[0].rows, read.tables[0].columns) == (3, 2)
    told = await facts(media, path, "csv")
    assert (told.rows, told.columns, told.separator) == (3, 2, ";")


# Pictures


def heic(path: Path, image: Image.Image) -> Path:
    """Put one frame of HEVC into a container of still pictures (ISO/IEC 23008-12)."""
    image.save(path.with_suffix(".png"))
    film = path.with_suffix(".mp4")
    command = [str(find_ffmpeg(None).ffmpeg), "-v", "error", "-y", "-i", path.with_suffix(".png")]
    codec = ["-c:v", "libx265", "-x265-params", "log-level=none", "-pix_fmt", "yuv420p"]
    subprocess.run([*command, *codec, film], check=True)
    data = film.read_bytes()
    place = data.index(b"hvcC") - 4
    config = data[place : place + int.from_bytes(data[place : place + 4], "big")]
    with av.open(str(film)) as played:
        frame = b"".join(bytes(packet) for packet in played.demux() if packet.size)

    def box(kind: bytes, *content: bytes) -> bytes:
        body = b"".join(content)
        return (len(body) + 8).to_bytes(4, "big") + kind + body

    def number(value: int, size: int) -> bytes:
        return value.to_bytes(size, "big")

    start = box(b"ftyp", b"heic", bytes(4), b"mif1heic")

    def meta(offset: int) -> bytes:
        entry = box(b"infe", b"\2\0\0\0", number(1, 2), number(0, 2), b"hvc1", b"\0")
        size = box(b"ispe", bytes(4), number(image.width, 4), number(image.height, 4))
        uses = number(1, 4) + number(1, 2) + b"\2" + b"\x81" + b"\2"
        place = number(0x4400, 2) + number(1, 2) + number(1, 2) + number(0, 2) + number(1, 2)
        return box(
            b"meta",
            bytes(4),
            box(b"hdlr", bytes(8), b"pict", bytes(13)),
            box(b"pitm", bytes(4), number(1, 2)),
            box(b"iloc", bytes(4), place, number(offset, 4), number(len(frame), 4)),
            box(b"iinf", bytes(4), number(1, 2), entry),
            box(b"iprp", box(b"ipco", config, size), box(b"ipma", bytes(4), uses)),
        )

    offset = len(start) + len(meta(0)) + 8
    path.write_bytes(start + meta(offset) + box(b"mdat", frame))
    return path


def colour(path: Path, x: float, y: float) -> tuple[int, int, int]:
    with Image.open(path) as picture:
        found = picture.convert("RGB").getpixel((int(picture.width * x), int(picture.height * y)))
    assert isinstance(found, tuple)
    red, green, blue = (int(part) for part in found[:3])
    return red, green, blue


async def test_a_picture_of_a_phone_is_turned_and_tells_the_place_only_when_asked(
    media: LocalMedia, tmp_path: Path
) -> None:
    path = tmp_path / "a.jpg"
    image = papers.picture((640, 480))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Lens & Sons\0"
    exif[0x8825] = {1: "N", 2: (52.0, 30.0, 36.0), 3: "W", 4: (13.0, 24.0, 0.0)}
    image.save(path, exif=exif)
    assert (await media.kind(path, path.name)).form == "image"
    told = await facts(media, path, "image")
    assert (told.width, told.height, told.rotation) == (480, 640, 90)
    assert (told.camera_make, told.gps) == ("Lens & Sons", None)
    told = await facts(media, path, "image", gps=True)
    assert told.gps is not None
    assert (told.gps.latitude, told.gps.longitude) == (52.51, -13.4)
    (page,) = (await drawn(media, path, "image")).pages
    assert (page.width, page.height) == (480, 640)
    assert colour(page.path, 0.75, 0.25)[1] < 90
    assert colour(page.path, 0.25, 0.25)[1] > 200


async def test_heic_of_phones_is_read(media: LocalMedia, tmp_path: Path) -> None:
    path = heic(tmp_path / "a.heic", papers.picture((640, 480)))
    assert (await media.kind(path, path.name)).form == "image"
    told = await facts(media, path, "image")
    assert (told.format, told.width, told.height) == ("HEIC", 640, 480)
    (page,) = (await drawn(media, path, "image")).pages
    assert colour(page.path, 0.25, 0.25)[1] < 90
    assert colour(page.path, 0.75, 0.75)[1] > 200


async def test_every_page_of_a_tiff_is_drawn(media: LocalMedia, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pages = [Image.new("RGB", (300 + i, 400), (80 * i, 0, 0)) for i in range(3)]
    pages[0].save(path, save_all=True, append_images=pages[1:], dpi=(300, 300))
    made = await drawn(media, path, "image")
    assert [(page.width, page.height) for page in made.pages] == [
        (300, 400),
        (301, 400),
        (302, 400),
    ]
    assert made.sheets[0].frame_count == 3
    told = await facts(media, path, "image")
    assert (told.pages, told.dpi) == (3, 300.0)


async def test_what_is_clear_is_drawn_on_a_checker_board(media: LocalMedia, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    image = Image.new("RGBA", (64, 64), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 32, 64))
    image.save(path)
    (page,) = (await drawn(media, path, "image", format="png")).pages
    assert {colour(page.path, x / 64, 0.1) for x in range(32)} == {(255, 255, 255), (204, 204, 204)}
    assert colour(page.path, 0.75, 0.5) == (255, 0, 0)


async def test_sixteen_bits_of_grey_are_spread_over_what_is_seen(
    media: LocalMedia, tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    image = Image.new("I;16", (64, 64), 2000)
    image.paste(4000, (32, 0, 64, 64))
    image.save(path)
    (page,) = (await drawn(media, path, "image", format="png")).pages
    assert colour(page.path, 0.25, 0.5) == (0, 0, 0)
    assert colour(page.path, 0.75, 0.5) == (255, 255, 255)


async def test_a_drawing_is_drawn_with_its_letters(media: LocalMedia, tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    path.write_text(papers.SVG)
    (page,) = (await drawn(media, path, "svg", format="png")).pages
    assert (page.width, page.height) == (1000, 500)
    assert colour(page.path, 0.25, 0.9) == (255, 0, 0)
    with Image.open(page.path) as picture:
        letters = picture.convert("L").crop((50, 200, 480, 260)).getextrema()
    assert letters[0] == 0
    assert (await text_of(media, path, "svg"))[0] == "Harbour plan"


# What is left out is told


async def test_pages_beyond_the_bounds_are_left_out_and_told(tmp_path: Path) -> None:
    media = LocalMedia(60, bounds=Bounds(pages=2, previews=3, text_chars=300))
    path = papers.pdf(tmp_path / "a.pdf", [papers.prose_page(n) for n in range(5)])
    text, read = await text_of(media, path, "pdf")
    assert len(text) == 300
    assert read.notes[0] == "Only the first 2 of 5 pages were read, the limit."
    assert "longer than 300 characters" in read.notes[1]
    made = await drawn(media, path, "pdf")
    assert made.notes == ("Only the first 3 of 5 pages were drawn, the limit.",)


async def test_a_damaged_page_is_left_out_and_told(media: LocalMedia, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pages = [Image.new("RGB", (300, 400), (80 * i, 0, 0)) for i in range(3)]
    pages[0].save(path, save_all=True, append_images=pages[1:], compression="tiff_lzw")
    data = path.read_bytes()
    with Image.open(path) as opened:
        opened.seek(1)
        assert isinstance(opened, TiffImagePlugin.TiffImageFile)
        place = opened.tag_v2[273][0]
    path.write_bytes(data[:place] + b"\xff" * 40 + data[place + 40 :])
    made = await drawn(media, path, "image")
    assert [page.number for page in made.pages] == [1, 3]
    assert made.notes == ("Page 2 is damaged and was left out.",)
