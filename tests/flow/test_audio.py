"""Sound, from INSERT to rows: an audio file, a film, and what is broken about either."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import av
import numpy as np
import pytest
from PIL import Image

from mediaq import db, events, store
from mediaq.errors import Unavailable
from mediaq.events import Bells
from mediaq.media.local import LocalMedia
from mediaq.settings import Database, Settings
from mediaq.views import Detail
from tests.conftest import Ended, Insert, working

SPEAK = Path(__file__).parents[1] / "speech.py"
TEXT = "Two roads diverged in a yellow wood, and sorry I could not travel both."
RATE = 22_050


@pytest.fixture(scope="session")
def voice(home: Path) -> Path:
    """A sentence, spoken."""
    path = home / "voice.wav"
    subprocess.run([sys.executable, SPEAK, "en-us", path, TEXT], check=True)
    return path


def music(path: Path, *, cover: bytes | None = None, cover_codec: str = "mjpeg") -> Path:
    """Encode three seconds of a chord, with a cover picture if one is given."""
    time = np.arange(RATE * 3) / RATE
    chord = sum(np.sin(2 * np.pi * hertz * time) for hertz in (220, 277, 330)) / 6
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libmp3lame", rate=RATE, layout="mono")
        assert isinstance(stream, av.AudioStream)
        picture = None
        if cover is not None:
            picture = out.add_stream(cover_codec)
            assert isinstance(picture, av.VideoStream)
            picture.width, picture.height, picture.pix_fmt = 1000, 500, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray((chord * 32767).astype("<i2")[None], "s16p", "mono")
        frame.sample_rate = RATE
        out.mux([*stream.encode(frame), *stream.encode(None)])
        if picture is not None and cover is not None:
            packet = av.Packet(cover)
            packet.stream, packet.pts, packet.dts = picture, 0, 0
            out.mux(packet)
    return path


def jpeg(path: Path) -> bytes:
    Image.new("RGB", (1000, 500), "#b63679").save(path)
    return path.read_bytes()


def film(path: Path, voice: Path | None, *, sound_codec: str = "aac") -> Path:
    """Encode five seconds of pictures, with a voice if one is given."""
    with av.open(str(path), "w") as out:
        pictures = out.add_stream("mpeg4", rate=5)
        assert isinstance(pictures, av.VideoStream)
        pictures.width, pictures.height = 64, 48
        sound = out.add_stream(sound_codec, rate=RATE, layout="mono") if voice else None
        for shade in range(0, 250, 10):
            image = Image.new("RGB", (64, 48), (shade, 99, 240 - shade))
            out.mux(pictures.encode(av.VideoFrame.from_image(image)))
        out.mux(pictures.encode(None))
        if voice and isinstance(sound, av.AudioStream):
            with av.open(str(voice)) as file:
                for frame in file.decode(audio=0):
                    out.mux(sound.encode(frame))
            out.mux(sound.encode(None))
    return path


async def read(pool: db.Pool, request_id: UUID) -> Detail:
    text = await store.detail(pool, request_id)
    assert text is not None
    return Detail.model_validate_json(text)


def of_type(detail: Detail, result_type: str) -> Any:
    (result,) = (one for one in detail.results if one.result_type == result_type)
    return result


NOTHING_SAID = {"transcription": "no_audio", "text_analysis": "no_text", "summary": "no_text"}


def skipped(detail: Detail) -> dict[str, str | None]:
    return {step.step: step.skipped for step in detail.steps if step.skipped}


@pytest.mark.usefixtures("worker")
async def test_a_recording_becomes_a_transcript_with_subtitles(
    pool: db.Pool, insert: Insert, ended: Ended, voice: Path, tmp_path: Path
) -> None:
    path = tmp_path / "voice.wav"
    path.write_bytes(voice.read_bytes())
    event = await ended(await insert(media_path=str(path)))
    assert (event.event, event.media_type, event.error) == ("completed", "audio", None)
    detail = await read(pool, event.request_id)
    assert skipped(detail) == {"cover": "no_cover", "summary": "too_short"}

    assert "22050 Hz mono" in of_type(detail, "metadata_extraction").content
    analysis = of_type(detail, "audio_analysis")
    assert analysis.content_json["speech"]["share"] > 0.6
    assert "LUFS" in analysis.content

    transcript = of_type(detail, "transcription")
    assert "diverged in a yellow wood" in transcript.content
    assert transcript.content_json["confidence_method"] == "logprob"
    assert float(transcript.confidence) == transcript.content_json["confidence"] > 0.3
    assert transcript.content_json["language"] == "en"

    files = {Path(file.file_path).name: file for file in detail.files}
    assert {name: file.file_type for name, file in files.items()} == {
        "waveform.png": "preview",
        "spectrogram.png": "preview",
        "transcript.txt": "transcription",
        "transcript.srt": "transcription",
        "transcript.vtt": "transcription",
    }
    assert Path(files["transcript.txt"].file_path).read_text() == transcript.content + "\n"
    assert Path(files["transcript.vtt"].file_path).read_text().startswith("WEBVTT\n\n00:00:0")
    with Image.open(files["spectrogram.png"].file_path) as picture:
        assert picture.size == (files["spectrogram.png"].width, files["spectrogram.png"].height)


@pytest.mark.usefixtures("worker")
async def test_music_has_its_cover_as_thumbnail_and_an_empty_transcript(
    pool: db.Pool, insert: Insert, ended: Ended, tmp_path: Path
) -> None:
    path = music(tmp_path / "song.mp3", cover=jpeg(tmp_path / "cover.jpg"))
    event = await ended(await insert(media_path=str(path)))
    assert (event.event, event.media_type, event.error) == ("completed", "audio", None)
    detail = await read(pool, event.request_id)
    (thumbnail,) = (file for file in detail.files if file.file_type == "thumbnail")
    with Image.open(thumbnail.file_path) as picture:
        assert picture.size == (640, 320) == (thumbnail.width, thumbnail.height)
        red, green, blue = picture.convert("RGB").getpixel((300, 100))  # type: ignore[misc]
        assert (abs(red - 0xB6) < 6, abs(green - 0x36) < 6, abs(blue - 0x79) < 6) == (True,) * 3
    transcript = of_type(detail, "transcription")
    assert (transcript.content, transcript.confidence) == ("", None)
    assert transcript.content_json["segments"] == []
    assert not [file for file in detail.files if file.file_type == "transcription"]


@pytest.mark.usefixtures("worker")
async def test_a_cover_that_cannot_be_read_is_told_and_does_no_harm(
    pool: db.Pool, insert: Insert, ended: Ended, tmp_path: Path
) -> None:
    path = music(tmp_path / "song.mp3", cover=b"\xff\xd8\xff no picture")
    detail = await read(pool, (await ended(await insert(media_path=str(path)))).request_id)
    assert detail.status == "completed"
    (why,) = (step.why for step in detail.steps if step.step == "cover")
    assert why == "song.mp3: its cover picture cannot be read"


@pytest.mark.usefixtures("worker")
async def test_a_film_is_heard_too(
    pool: db.Pool, insert: Insert, ended: Ended, voice: Path, tmp_path: Path
) -> None:
    path = film(tmp_path / "film.mp4", voice)
    event = await ended(await insert(media_path=str(path)))
    assert (event.event, event.media_type, event.error) == ("completed", "video", None)
    detail = await read(pool, event.request_id)
    assert "yellow wood" in of_type(detail, "transcription").content
    assert {file.file_type for file in detail.files} == {
        *("contact_sheet", "frame", "preview", "thumbnail", "transcription")
    }


@pytest.mark.usefixtures("worker")
async def test_a_film_may_be_taken_for_its_sound_alone(
    pool: db.Pool, insert: Insert, ended: Ended, voice: Path, tmp_path: Path
) -> None:
    path = film(tmp_path / "film.mp4", voice)
    want = {"want": ["audio_analysis"]}
    event = await ended(await insert(media_type="audio", media_path=str(path), options=want))
    detail = await read(pool, event.request_id)
    assert (detail.status, detail.media_type) == ("completed", "audio")
    assert [step.step for step in detail.steps] == ["metadata", "audio_analysis"]


@pytest.mark.usefixtures("worker")
async def test_a_silent_film_says_that_it_has_no_sound(
    pool: db.Pool, insert: Insert, ended: Ended, tmp_path: Path
) -> None:
    path = film(tmp_path / "silent.mp4", None)
    detail = await read(pool, (await ended(await insert(media_path=str(path)))).request_id)
    assert detail.status == "completed"
    assert skipped(detail) == {"audio_analysis": "no_audio", **NOTHING_SAID}


@pytest.mark.usefixtures("worker")
async def test_a_file_without_sound_is_no_audio(
    pool: db.Pool, insert: Insert, ended: Ended, tmp_path: Path
) -> None:
    path = film(tmp_path / "silent.mp4", None)
    event = await ended(await insert(media_type="audio", media_path=str(path)))
    assert event.event == "failed"
    assert event.error is not None
    assert event.error.startswith("silent.mp4 has no sound")


@pytest.mark.usefixtures("worker")
async def test_a_film_whose_sound_cannot_be_heard_has_its_sheets(
    pool: db.Pool, insert: Insert, ended: Ended, voice: Path, tmp_path: Path
) -> None:
    path = film(tmp_path / "film.mkv", voice, sound_codec="pcm_s16le")
    # 22,050 in Matroska's float of 8 bytes becomes a rate that nothing has.
    content = path.read_bytes()
    rate = np.array([RATE], ">f8").tobytes()
    assert content.count(b"\xb5\x88" + rate) == 1
    path.write_bytes(content.replace(rate, np.array([10.0], ">f8").tobytes()))
    detail = await read(pool, (await ended(await insert(media_path=str(path)))).request_id)
    assert detail.status == "completed"
    assert skipped(detail) == {"audio_analysis": "unreadable_audio", **NOTHING_SAID}
    assert detail.contact_sheets


async def test_an_attempt_that_goes_on_after_the_analysis_listens_again(
    settings: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    ended: Ended,
    voice: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The samples that the analysis left are gone with the first attempt."""
    path = tmp_path / "voice.wav"
    path.write_bytes(voice.read_bytes())
    ask, asked = LocalMedia.ask, []

    async def troubled(self: LocalMedia, work: str, *given: Any, **named: Any) -> Any:
        asked.append(work)
        if work == "transcription" and asked.count(work) == 1:
            raise Unavailable("the disk is away")  # noqa: EM101
        return await ask(self, work, *given, **named)

    monkeypatch.setattr(LocalMedia, "ask", troubled)
    async with working(settings, database):
        request_id = await insert(media_path=str(path))
        assert (await ended(request_id)).event == "completed"
    detail = await read(pool, request_id)
    assert "yellow wood" in of_type(detail, "transcription").content
    assert asked.count("audio_analysis") == 2
    assert len([step for step in detail.steps if step.step == "audio_analysis"]) == 1


async def test_cancelling_ends_the_model_that_runs(
    settings: Settings,
    database: Database,
    pool: db.Pool,
    insert: Insert,
    ended: Ended,
    bells: Bells,
    voice: Path,
    tmp_path: Path,
) -> None:
    path = tmp_path / "voice.wav"
    path.write_bytes(voice.read_bytes())
    async with working(settings, database) as worker:
        request_id = await insert(media_path=str(path))
        async with asyncio.timeout(60):
            async for event in events.of_request(pool, bells, request_id):
                if event.data.get("step") == "transcription":
                    break
        resident = worker.media.residents._of["transcription"]  # type: ignore[attr-defined]
        assert resident._child is not None
        child = resident._child._process
        await pool.execute(
            "UPDATE media_analysis_requests SET status = 'cancelled' WHERE request_id = $1",
            request_id,
        )
        async with asyncio.timeout(20):
            assert await child.wait() == -9
    assert (await ended(request_id)).event == "cancelled"
