"""Documents from INSERT to rows, files and one event, with a real worker."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from PIL import Image

from mediaq import db, store
from mediaq.settings import Database, Settings
from mediaq.views import Detail
from tests import papers
from tests.conftest import Ended, Insert, working


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
    assert analysis.confidence_score is None
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
    assert 0.9 < float(analysis.confidence_score or 0) <= 1


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
    """The last step and its result are taken away, as if a worker had died before it."""
    (tmp_path / "a.txt").write_text("\n".join([*papers.PARAGRAPHS, *papers.PARAGRAPHS]))
    async with working(settings, database):
        request_id = await insert(media_path="a.txt")
        assert (await ended(request_id)).error is None
        first = await read(pool, request_id)
        again = await insert(media_path="a.txt", options={"want": ["text_analysis"]})
        assert (await ended(again)).error is None
        await pool.execute("DELETE FROM mediaq.events WHERE request_id = $1", again)
        # What is asked again starts with what the first attempt recorded.
        await pool.execute(
            "ALTER TABLE media_analysis_requests DISABLE TRIGGER USER;"
            f"UPDATE media_analysis_requests SET status = 'failed', options = '{{}}'"
            f" WHERE request_id = '{again}';"
            "ALTER TABLE media_analysis_requests ENABLE TRIGGER USER"
        )
        await pool.execute(
            "UPDATE media_analysis_requests SET status = 'pending' WHERE request_id = $1", again
        )
        assert (await ended(again)).error is None
    second = await read(pool, again)
    summaries = [
        [one.content for one in detail.results if one.result_type == "summary"]
        for detail in (first, second)
    ]
    assert summaries[0] == summaries[1] != []
    assert [one.result_type for one in second.results].count("text_analysis") == 1
