"""What a video yields beyond its sheet, from INSERT to rows and files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from mediaq import db, store
from mediaq.views import Detail
from tests.conftest import Ended, Insert


async def read(pool: db.Pool, request_id: object) -> Detail:
    text = await store.detail(pool, request_id)  # type: ignore[arg-type]
    assert text is not None
    return Detail.model_validate_json(text)


@pytest.mark.usefixtures("worker")
async def test_a_storyboard_is_made_when_it_is_asked_for(
    pool: db.Pool, insert: Insert, ended: Ended, video: Path
) -> None:
    options = {"storyboard": {"interval_seconds": 1, "grid": "3x3"}, "want": ["contact_sheets"]}
    request_id = await insert(media_type="video", media_path=str(video), options=options)
    assert (await ended(request_id)).event == "completed"
    files = {
        Path(file.file_path).name: file
        for file in (await read(pool, request_id)).files
        if "storyboard" in file.metadata
    }
    told = json.loads(Path(files["storyboard.json"].file_path).read_text())
    assert set(files) == {*told["sheets"], "storyboard.vtt", "storyboard.json"}
    assert {file.file_type for file in files.values()} == {"preview"}
    assert files["storyboard.vtt"].mime_type == "text/vtt"
    for name in told["sheets"]:
        with Image.open(files[name].file_path) as sprite:
            assert sprite.size == (files[name].width, files[name].height)
    about = files["storyboard-01.jpg"].metadata["storyboard"]
    assert (about["interval_seconds"], about["columns"], about["rows"]) == (1, 3, 3)
    assert len({file.file_path.rsplit("/", 1)[0] for file in files.values()}) == 1


@pytest.mark.usefixtures("worker")
async def test_without_that_wish_there_is_neither_a_storyboard_nor_a_word_of_it(
    pool: db.Pool, insert: Insert, ended: Ended, video: Path
) -> None:
    request_id = await insert(media_type="video", media_path=str(video))
    assert (await ended(request_id)).event == "completed"
    text = await store.detail(pool, request_id)
    assert text is not None
    assert "storyboard" not in text
