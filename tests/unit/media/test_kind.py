"""What a file is, told from its content; whatever it is called."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mediaq.errors import Rejected
from mediaq.media.local import LocalMedia
from tests import papers

MARKDOWN = "# A title\n\nSome **bold** words.\n\n- one\n- two\n"
CSV = "name;crates;boat\nAnna;12;A\nBertha;7;B\n"

TEXTS = {
    "text": papers.PROSE,
    "markdown": MARKDOWN,
    "csv": CSV,
    "html": papers.HTML,
    "svg": papers.SVG,
    "eml": papers.EML,
}


async def form(media: LocalMedia, path: Path, title: str = "nameless") -> tuple[str, str]:
    kind = await media.kind(path, title)
    return kind.media_type, kind.form


@pytest.mark.parametrize("expected", TEXTS)
async def test_texts_are_told_apart_without_a_name(
    media: LocalMedia, tmp_path: Path, expected: str
) -> None:
    path = tmp_path / "file"
    path.write_text(TEXTS[expected], newline="")
    assert await form(media, path) == ("document", expected)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
async def test_text_is_text_in_any_encoding(
    media: LocalMedia, tmp_path: Path, encoding: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(("Größe und Übermut tun selten gut. " * 20).encode(encoding))
    assert await form(media, path) == ("document", "text")


async def test_the_name_breaks_a_tie_between_texts_only(media: LocalMedia, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one,two\nthree,four\n")
    assert await form(media, path, "a.md") == ("document", "markdown")
    assert await form(media, path, "a.csv") == ("document", "csv")
    assert await form(media, path, "a.mp4") == ("document", "text")
    papers.pdf(path, [papers.prose_page()])
    assert await form(media, path, "a.csv") == ("document", "pdf")


@pytest.mark.parametrize("make", [papers.docx, papers.xlsx, papers.pptx])
async def test_office_files_are_told_by_what_is_in_the_archive(
    media: LocalMedia, tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    path = make(tmp_path / "file.zip")
    assert await form(media, path, "file.zip") == ("document", make.__name__)


@pytest.mark.parametrize("name", ["jpeg", "png", "gif", "webp", "tiff", "bmp", "avif"])
async def test_pictures_are_documents(media: LocalMedia, tmp_path: Path, name: str) -> None:
    path = tmp_path / "file"
    papers.picture((64, 48)).save(path, name.upper())
    assert await form(media, path, "film.mp4") == ("document", "image")


@pytest.mark.parametrize(
    ("name", "kind"), [("gif", "video"), ("png", "video"), ("webp", "document")]
)
async def test_pictures_that_move_are_videos_where_a_film_decoder_reads_them(
    media: LocalMedia, tmp_path: Path, name: str, kind: str
) -> None:
    path = tmp_path / "file"
    first, *rest = (Image.new("RGB", (64, 48), (60 * i, 0, 90)) for i in range(4))
    first.save(path, name.upper(), save_all=True, append_images=rest, duration=100)
    assert (await form(media, path))[0] == kind


PLAYLISTS = {
    "HLS": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n",
    "concat": "ffconcat version 1.0\nfile /etc/passwd\n",
    "DASH": '<?xml version="1.0"?>\n<!-- x -->\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    "SDP": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\n",
    "PLS": "[playlist]\nFile1=http://127.0.0.1/\n",
}


@pytest.mark.parametrize("what", PLAYLISTS)
async def test_a_playlist_is_refused_whatever_it_is_called(
    media: LocalMedia, tmp_path: Path, what: str
) -> None:
    path = tmp_path / "film.mp4"
    path.write_text(PLAYLISTS[what])
    with pytest.raises(Rejected, match=rf"film\.mp4 is a.*{what}.* names other files"):
        await media.kind(path, path.name)


async def test_what_is_nothing_known_is_refused_with_what_it_seems_to_be(
    media: LocalMedia, tmp_path: Path
) -> None:
    path = tmp_path / "notes.bin"
    path.write_bytes(gzip.compress(b"words"))
    with pytest.raises(Rejected, match=r"notes\.bin seems to be a GZIP Archive .*analyses video"):
        await media.kind(path, path.name)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "words")
    with pytest.raises(Rejected, match=r"notes\.bin seems to be a zip archive, which"):
        await media.kind(path, path.name)
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    with pytest.raises(Rejected, match="Microsoft Office before 2007"):
        await media.kind(path, path.name)
    path.write_bytes(bytes(range(256)) * 40)
    with pytest.raises(Rejected, match=r"notes\.bin is not a media file .*analyses video"):
        await media.kind(path, path.name)


@pytest.mark.parametrize(
    ("content", "why"), [(b"", "is empty"), (b" \n\t\n", "nothing but blanks")]
)
async def test_nothing_is_refused_as_nothing(
    media: LocalMedia, tmp_path: Path, content: bytes, why: str
) -> None:
    path = tmp_path / "void.txt"
    path.write_bytes(content)
    with pytest.raises(Rejected, match=rf"void\.txt .*{why}"):
        await media.kind(path, path.name)


async def test_a_film_is_a_film_whatever_it_is_called(
    media: LocalMedia, tmp_path: Path, encode: Callable[..., Path], even: Callable[..., list[int]]
) -> None:
    film = encode("film.mp4", stamps=even(5))
    assert (await form(media, film, "letter.docx"))[0] == "video"


async def test_a_text_that_speaks_of_a_pdf_is_none(media: LocalMedia, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("A file that begins with %PDF-1.7 is a PDF. " * 5)
    assert await form(media, path) == ("document", "text")
