"""Scenes and motion of a video, from INSERT to rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from mediaq import db, store
from mediaq.steps.scenes import Motion, Scenes
from mediaq.views import Detail
from tests import edited
from tests.conftest import Ended, Insert
from tests.edited import Edit, Join, Shot


@pytest.mark.usefixtures("worker")
async def test_scenes_and_motion_of_a_video_are_rows_with_a_frame_of_each_scene(
    pool: db.Pool, insert: Insert, ended: Ended, tmp_path: Path
) -> None:
    shots = [Shot(1, 2.0), Shot(2, 2.0, pan=0.2), Shot(3, 2.0)]
    edit = Edit(shots, [Join(), Join("dissolve", 1.0)], size=(192, 108))
    film = edited.encode(tmp_path / "film.mp4", edit)
    options = {"want": ["scene_detection"], "format": "webp"}
    request_id = await insert(media_type="video", media_path=str(film), options=options)
    event = await ended(request_id)
    assert (event.event, event.error) == ("completed", None)
    text = await store.detail(pool, request_id)
    assert text is not None
    detail = Detail.model_validate_json(text)

    rows = {result.result_type: result for result in detail.results}
    assert rows.keys() == {"metadata_extraction", "scene_detection", "motion_analysis"}
    scenes = Scenes.model_validate_json(json.dumps(rows["scene_detection"].content_json))
    assert [(change.kind, change.seconds) for change in scenes.changes] == [
        ("cut", 2.0),
        ("dissolve", pytest.approx(4.0, abs=0.2)),
    ]
    assert rows["scene_detection"].content.startswith("3 scenes, 1 cut, 1 dissolve, 0 fades\n1. ")
    motion = Motion.model_validate_json(json.dumps(rows["motion_analysis"].content_json))
    assert motion.camera_path == pytest.approx(0.4, rel=0.5)

    frames = {file.sequence_order: file for file in detail.files}
    assert sorted(frames) == [scene.number for scene in scenes.scenes] == [1, 2, 3]
    for scene in scenes.scenes:
        file = frames[scene.number]
        assert scene.picture is not None
        assert (file.file_type, file.mime_type) == ("frame", "image/webp")
        assert file.metadata == {"scene": scene.number, "seconds": scene.picture.seconds}
        with Image.open(file.file_path) as picture:
            assert picture.size == (file.width, file.height) == (192, 108)
