"""Documents from INSERT to rows, files and one event, with a real worker."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from PIL import Image

from mediaq import db, store
from mediaq.model import Made, MadeResult
from mediaq.settings import Database, Settings
from mediaq.views import Detail
from tests import papers
from tests.conftest import Ended, Insert, claim, working


async def read(pool: db.Pool, request_id: UUID) -> Detail:
    text = await store.detail(pool, request_id)
    assert text is not None
    return Detail.model_validate_json(text)


@pytest.mark.usefixtures("worker")
async def test_a_pdf_becomes_text_a_summary_pages_and_sheets(
    pool: db.Pool, insert: Insert, ended: Ended, tmp_path: Path
) -> None:
    pages = [papers.prose_page(n) for n in range(1, 9)]
    path = papers.pdf(tmp_path / "history.pdf", pages, info={"Title": "A history"})
    request_id = await insert(media_path=str(path))
    event = await ended(request_id)
    assert (event.event, event.error) == ("completed", None)
    detail = await read(pool, request_id)
    assert detail.media_type == "document"

    results = {result.result_type: result for result in detail.results}
    assert set(results) == {"metadata_extraction", "text_analysis", "summary"}
    assert results["metadata_extraction"].content_json["pages"] == 8
    analysis = results["text_analysis"]
    assert analysis.content is not None
    assert papers.PARAGRAPHS[3] in analysis.content
    assert analysis.content_json["language"]["code"] == "en"
    assert await sure(pool, request_id) is None
    for sentence in results["summary"].content_json["sentences"]:
        place = slice(sentence["start"], sentence["end"])
        assert " ".join(analysis.content[place].split()) == sentence["text"]

    kinds = [file.file_type for file in detail.files]
    assert sorted(kinds) == [*["contact_sheet"] * 2, "document", *["preview"] * 8, "thumbnail"]
    for file in detail.files:
        content = Path(file.file_path).read_bytes()
        assert file.checksum == hashlib.sha256(content).hexdigest()
        if file.file_type == "document":
            assert (file.file_name, content.decode()) == ("text.txt", analysis.content)
        else:
            with Image.open(file.file_path) as picture:
                assert (file.width, file.height) == picture.size
    assert [sheet.frame_count for sheet in detail.contact_sheets] == [6, 2]
    assert {sheet.frame_interval_seconds for sheet in detail.contact_sheets} == {None}


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("make", [papers.docx, papers.xlsx, papers.pptx])
async def test_office_files_become_text_and_say_why_they_have_no_pages(
    pool: db.Pool, insert: Insert, ended: Ended, tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    request_id = await insert(media_type="document", media_path=str(make(tmp_path / "file")))
    assert (await ended(request_id)).error is None
    detail = await read(pool, request_id)
    assert [file.file_name for file in detail.files] == ["text.txt"]
    skipped = {step.step: step.skipped for step in detail.steps if step.skipped}
    assert skipped["previews"] == "no_pages"


@pytest.mark.usefixtures("worker")
async def test_a_picture_with_words_is_read_with_the_recognisers_confidence(
    pool: db.Pool, insert: Insert, ended: Ended, tmp_path: Path
) -> None:
    papers.picture((1000, 400), "Port Ellery museum\nopens at nine").save(tmp_path / "sign.png")
    request_id = await insert(media_path="sign.png")
    assert (await ended(request_id)).error is None
    results = {result.result_type: result for result in (await read(pool, request_id)).results}
    analysis = results["text_analysis"]
    assert analysis.content == "Port Ellery museum\nopens at nine"
    assert analysis.content_json["confidence_method"] == "detector"
    assert 0.9 < (await sure(pool, request_id) or 0) <= 1


@pytest.mark.usefixtures("worker")
async def test_what_a_document_is_not_is_refused(
    pool: db.Pool, insert: Insert, ended: Ended, tmp_path: Path, video: Path
) -> None:
    refused = await ended(await insert(media_type="document", media_path=str(video)))
    assert refused.event == "failed"
    assert "sample.mp4 is video" in (refused.error or "")
    (tmp_path / "list.mp4").write_text("#EXTM3U\nfile:///etc/passwd\n")
    refused = await ended(await insert(media_path="list.mp4"))
    assert "names other files" in (refused.error or "")


async def test_a_resumed_request_summarises_the_text_that_was_read_before(
    settings: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    ended: Ended,
    tmp_path: Path,
) -> None:
    """A worker recorded another text and went away: it is not read again."""
    (tmp_path / "a.txt").write_text("What stands in the file. It is not looked at again.")
    request_id = await insert(media_path="a.txt")
    request = await claim(pool, request_id)
    assert request is not None
    before = MadeResult(
        result_type="text_analysis",
        content=" ".join([*papers.PARAGRAPHS, *papers.PARAGRAPHS]),
        content_json={"language": {"code": "en"}},
    )
    async with pool.acquire() as connection, connection.transaction():
        made = Made(results=[before])
        await store.record_step(connection, request, "text_analysis", made, 5)
    assert await store.give_back(pool, request)
    async with working(settings, database):
        assert (await ended(request_id)).error is None
    results = [(one.result_type, one.content) for one in (await read(pool, request_id)).results]
    assert [kind for kind, _ in results].count("text_analysis") == 1
    assert "Martha Quill" in str(dict(results)["summary"])


async def sure(pool: db.Pool, request_id: UUID) -> float | None:
    """Read how sure the text of a document is."""
    found = await pool.fetchval(
        "SELECT confidence_score FROM media_analysis_results"
        " WHERE request_id = $1 AND result_type = 'text_analysis'",
        request_id,
    )
    return None if found is None else float(found)
