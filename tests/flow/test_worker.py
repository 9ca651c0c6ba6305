"""The whole way with a real worker: INSERT, steps, rows, files, event."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any
from uuid import UUID

import av
import pytest
from PIL import Image

from mediaq import db, queue, store
from mediaq.errors import Rejected
from mediaq.kit import Media
from mediaq.media import process
from mediaq.media.local import LocalMedia
from mediaq.model import Kind, Probe, SheetSet
from mediaq.settings import Database, Settings
from mediaq.views import Detail
from tests.conftest import Ended, Insert, working


async def read(pool: db.Pool, request_id: UUID) -> Detail:
    text = await store.detail(pool, request_id)
    assert text is not None
    return Detail.model_validate_json(text)


@pytest.mark.usefixtures("worker")
async def test_a_video_becomes_results_sheets_files_and_one_event(
    pool: db.Pool, insert: Insert, ended: Ended, video: Path
) -> None:
    request_id = await insert(
        media_type="video",
        media_path=str(video),
        prompt="what is it?",
        options={"want": ["contact_sheets"]},
    )
    assert (await ended(request_id)).event == "completed"
    detail = await read(pool, request_id)

    (result,) = detail.results
    assert (result.result_type, result.provider) == ("metadata_extraction", "internal")
    assert result.content_json["video_codec"] == "h264"
    assert result.content_json["audio_codec"] == "aac"
    assert result.content_json["duration_seconds"] > 10

    (sheet,) = detail.contact_sheets
    assert (sheet.grid_cols, sheet.grid_rows, sheet.frame_count) == (2, 3, 6)
    assert (sheet.frames_per_sheet, sheet.sheet_number, sheet.total_sheets) == (6, 1, 1)
    nothing = {name for name, value in sheet.model_dump().items() if value is None}
    assert not nothing

    kinds = [file.file_type for file in detail.files]
    assert sorted(kinds) == ["contact_sheet", *["frame"] * 6, "preview", "thumbnail"]
    for file in detail.files:
        content = Path(file.file_path).read_bytes()
        assert file.file_size_bytes == len(content)
        assert file.checksum == hashlib.sha256(content).hexdigest()
        moves = file.file_type == "preview"
        assert file.mime_type == ("image/webp" if moves else "image/jpeg")
        with Image.open(file.file_path) as picture:
            assert (file.width, file.height) == picture.size
    frames = sorted(
        (file for file in detail.files if file.file_type == "frame"),
        key=lambda file: file.frame_number or 0,
    )
    assert [frame.frame_number for frame in frames] == [frame.sequence_order for frame in frames]
    times = [frame.metadata["seconds"] for frame in frames]
    assert times == sorted(set(times))
    (picture,) = (file for file in detail.files if file.file_type == "contact_sheet")
    assert (picture.file_id, picture.file_path) == (sheet.file_id, sheet.file_path)
    assert (picture.width, picture.height) == (sheet.image_width, sheet.image_height)
    assert f"/outputs/{request_id}/" in picture.file_path

    story = await pool.fetch("SELECT event, data FROM mediaq.events ORDER BY event_id")
    told = [row["event"] for row in story if row["event"] != "progress"]
    assert told == ["pending", "processing", "step.finished", "step.finished", "completed"]


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("name", ["silent.mkv", "picture.gif", "bare.avi"])
async def test_a_video_without_sound_and_little_to_say_of_itself_is_a_video(
    pool: db.Pool, insert: Insert, ended: Ended, tmp_path: Path, name: str
) -> None:
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream("gif" if name.endswith("gif") else "mpeg4", rate=10)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "rgb8" if name.endswith("gif") else "yuv420p"
        for shade in range(0, 240, 12):
            picture = av.VideoFrame.from_image(Image.new("RGB", (64, 48), (shade, 99, 240 - shade)))
            container.mux(stream.encode(picture.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode(None))
    request_id = await insert(media_path=str(tmp_path / name))
    event = await ended(request_id)
    assert (event.event, event.error) == ("completed", None)
    assert (await read(pool, request_id)).contact_sheets[0].frame_count == 6


@pytest.mark.usefixtures("worker")
async def test_bells_that_anybody_rings_do_no_harm(
    pool: db.Pool, insert: Insert, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "POLL_SECONDS", 7200)
    for channel in ("procrastinate_any_queue_v1", "mediaq_events", "mediaq_progress"):
        for payload in ("garbage", "[1]", '{"type": 5}', "null", ""):
            await pool.execute("SELECT pg_notify($1, $2)", channel, payload)
    assert (await ended(await insert(media_path="/missing"))).event == "failed"


async def test_a_disk_that_is_full_while_decoding_is_tried_again(
    settings: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    ended: Ended,
    video: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Writing a picture fails in the child as it does on a full disk."""
    full = "def save(*_): raise OSError(28, 'full')\npicture.save = save\nmain(job)"
    boot = process.BOOT.replace("main(job)", f"from mediaq.media.child import picture\n{full}")
    start = process._start
    monkeypatch.setattr(process, "_start", lambda _: start(boot))
    async with working(settings.model_copy(update={"max_attempts": 2}), database):
        request_id = await insert(media_path=str(video))
        await ended(request_id)
    detail = await read(pool, request_id)
    assert (detail.attempt, detail.error_details["class"]) == (2, "Unavailable")
    assert detail.error_message is not None
    assert detail.error_message.startswith("sample.mp4 could not be decoded here: No space left")
    assert "Traceback" not in str(detail.error_details)


@pytest.mark.usefixtures("worker")
async def test_options_shape_the_sheets(
    pool: db.Pool, insert: Insert, ended: Ended, video: Path
) -> None:
    options = {"grid": "4x2", "frames": 12, "thumb_width": 160, "format": "webp", "exact": True}
    wanted = {"want": ["contact_sheets"], **options}
    request_id = await insert(media_path=str(video), options=wanted)
    await ended(request_id)
    detail = await read(pool, request_id)
    assert [sheet.frame_count for sheet in detail.contact_sheets] == [8, 4]
    assert {sheet.thumbnail_width for sheet in detail.contact_sheets} == {160}
    assert {file.mime_type for file in detail.files} == {"image/webp"}
    assert detail.media_type == "video"
    assert detail.contact_sheets[0].metadata["method"] == "exact"


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("content", "columns", "sentence"),
    [
        (
            b"no media at all",
            {"media_type": "video"},
            "note.txt is not a media file that can be read",
        ),
        (None, {}, "media_path 'note.txt' is not a file below the media roots"),
    ],
)
async def test_a_rejected_input_fails_at_once_with_a_reason(
    pool: db.Pool,
    insert: Insert,
    ended: Ended,
    tmp_path: Path,
    content: bytes | None,
    columns: dict[str, Any],
    sentence: str,
) -> None:
    note = tmp_path / "note.txt"
    if content is not None:
        note.write_bytes(content)
    request_id = await insert(media_path=str(note), **columns)
    event = await ended(request_id)
    assert event.event == "failed"
    detail = await read(pool, request_id)
    assert detail.error_message is not None
    assert detail.error_message.startswith(sentence)
    assert detail.error_message == event.error
    assert detail.error_details["class"] == "Rejected"
    assert (detail.error_details["attempt"], detail.attempt) == (1, 1)
    assert str(tmp_path) not in detail.error_message
    assert not detail.files


class Troubled:
    """The real media tools, with trouble before some of the calls."""

    def __init__(self, *trouble: BaseException | None) -> None:
        self._media: Media = LocalMedia(60)
        self._trouble = list(trouble)
        self.probes = 0
        self.reached = asyncio.Event()
        self.wait: asyncio.Event | None = None

    async def kind(self, source: Path, title: str) -> Kind:
        return await self._media.kind(source, title)

    async def ask(self, *args: Any, **named: Any) -> Any:
        return await self._media.ask(*args, **named)

    async def probe(self, source: Path) -> Probe:
        self.probes += 1
        return await self._media.probe(source)

    async def contact_sheets(self, source: Path, into: Path, **options: Any) -> SheetSet:
        self.reached.set()
        if self.wait is not None:
            await self.wait.wait()
        if self._trouble and (error := self._trouble.pop(0)) is not None:
            raise error
        return await self._media.contact_sheets(source, into, **options)


@pytest.fixture(autouse=True)
def _quick_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries are found by the poll."""
    monkeypatch.setattr(queue, "POLL_SECONDS", 0.1)


@pytest.fixture
def troubled(monkeypatch: pytest.MonkeyPatch) -> Troubled:
    media = Troubled()
    monkeypatch.setattr("mediaq.media.local.media", lambda *_: media)
    return media


async def test_trouble_that_may_heal_is_tried_again_from_the_step_that_had_it(
    settings: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    ended: Ended,
    video: Path,
    troubled: Troubled,
) -> None:
    troubled._trouble = [RuntimeError("secret"), OSError(28, "No space left on device")]
    async with working(settings, database):
        request_id = await insert(media_path=str(video), options={"want": ["contact_sheets"]})
        assert (await ended(request_id)).event == "completed"
    detail = await read(pool, request_id)
    assert (detail.attempt, detail.failed_attempts, detail.error_message) == (3, 2, None)
    assert troubled.probes == 1
    assert len(detail.results) == 1
    errors = await pool.fetch("SELECT error FROM mediaq.events WHERE error IS NOT NULL")
    assert "RuntimeError" in errors[0]["error"]
    assert "secret" not in str(errors)
    left = {Path(file.file_path).parent.name for file in detail.files}
    outputs = settings.storage / "outputs" / str(request_id)
    assert {entry.name for entry in outputs.iterdir()} == left == {"contact_sheets-3"}
    assert not any((settings.storage / "temp").iterdir())


async def test_trouble_that_does_not_heal_fails_after_max_attempts(
    settings: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    ended: Ended,
    video: Path,
    troubled: Troubled,
) -> None:
    troubled._trouble = [RuntimeError() for _ in range(9)]
    async with working(settings.model_copy(update={"max_attempts": 3}), database):
        request_id = await insert(media_path=str(video))
        event = await ended(request_id)
    assert event.event == "failed"
    detail = await read(pool, request_id)
    assert detail.error_message is not None
    assert detail.error_message.endswith("(given up after 3 attempts)")
    assert detail.error_details == {"class": "RuntimeError", "step": "contact_sheets", "attempt": 3}


async def test_an_error_that_cannot_be_stored_fails_the_request_all_the_same(
    settings: Settings,
    database: Database,
    insert: Insert,
    ended: Ended,
    video: Path,
    troubled: Troubled,
) -> None:
    troubled._trouble = [Rejected("not\0text")]
    async with working(settings, database):
        event = await ended(await insert(media_path=str(video)))
    assert event.error == "what came of the attempt cannot be stored; the worker's log has it"
    assert troubled.probes == 1


async def test_a_stopping_worker_gives_its_request_back_and_another_resumes_it(
    settings: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    ended: Ended,
    video: Path,
    troubled: Troubled,
) -> None:
    troubled.wait = asyncio.Event()
    async with working(settings.model_copy(update={"drain_timeout": 0}), database):
        request_id = await insert(media_path=str(video))
        await troubled.reached.wait()
    detail = await read(pool, request_id)
    assert (detail.status, detail.failed_attempts) == ("pending", 0)
    troubled.wait = None
    async with working(settings, database):
        assert (await ended(request_id)).event == "completed"
    assert (await read(pool, request_id)).attempt == 2
    assert troubled.probes == 1
    assert await pool.fetchval("SELECT count(*) FROM mediaq.procrastinate_jobs") == 0


async def test_a_draining_worker_lets_a_running_request_end(
    settings: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    video: Path,
    troubled: Troubled,
) -> None:
    troubled.wait = asyncio.Event()
    async with working(settings.model_copy(update={"drain_timeout": 60}), database):
        request_id = await insert(media_path=str(video))
        await troubled.reached.wait()
        asyncio.get_running_loop().call_soon(troubled.wait.set)
    assert (await read(pool, request_id)).status == "completed"


async def test_an_attempt_whose_request_was_cancelled_leaves_no_files(
    settings: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    video: Path,
    troubled: Troubled,
) -> None:
    troubled.wait = asyncio.Event()
    async with working(settings, database):
        request_id = await insert(media_path=str(video))
        await troubled.reached.wait()
        await pool.execute("UPDATE media_analysis_requests SET status = 'cancelled'")
        troubled.wait.set()
    detail = await read(pool, request_id)
    assert (detail.status, detail.files) == ("cancelled", [])
    assert not list((settings.storage / "outputs").rglob("*.jpg"))


async def test_the_higher_priority_goes_first(
    settings: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    ended: Ended,
    video: Path,
) -> None:
    ids = [await insert(media_path=str(video), priority=priority) for priority in (0, 5, -5)]
    async with working(settings.model_copy(update={"concurrency": 1}), database):
        for request_id in ids:
            await ended(request_id)
    order = await pool.fetch("SELECT priority FROM media_analysis_requests ORDER BY started_at")
    assert [row["priority"] for row in order] == [5, 0, -5]


async def test_a_worker_serves_only_its_queues(
    settings: Settings, database: Database, insert: Insert, ended: Ended, pool: db.Pool, video: Path
) -> None:
    other = await insert(media_path=str(video), media_type="auto")
    async with working(settings.model_copy(update={"queues": ("video",)}), database):
        mine = await insert(media_path=str(video), media_type="video")
        assert (await ended(mine)).event == "completed"
    assert (await read(pool, other)).status == "pending"


async def test_inserts_into_an_idle_worker_do_not_wait_for_the_poll(
    settings: Settings,
    database: Database,
    insert: Insert,
    ended: Ended,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A lost wake-up would hang: the next poll is hours away."""
    monkeypatch.setattr(queue, "POLL_SECONDS", 7200)
    async with working(settings, database):
        for number in range(100):
            await ended(await insert(media_path=f"/missing-{number}"))
