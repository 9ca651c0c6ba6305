"""Cuts and motion of films that were drawn with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mediaq.errors import Rejected
from mediaq.media.child import reading, stills
from mediaq.media.child.film import Film
from mediaq.media.child.scenes import scenes
from mediaq.media.local import LocalMedia
from mediaq.steps.scenes import Seen, describe_motion, describe_scenes
from tests import edited
from tests.edited import Edit, Known, Shot

Encode = Callable[..., Path]
Even = Callable[..., list[int]]
Look = Callable[[Path], Awaitable[Seen]]

SIZE = (192, 108)
RATE = 25


@pytest.fixture
def look(media: LocalMedia, tmp_path: Path) -> Look:
    async def seen(film: Path) -> Seen:
        into = str(tmp_path / "made")
        return await media.ask("scenes", film, Seen, title=film.name, into=into, format="jpeg")

    return seen


def film(tmp_path: Path, *shots: Shot, **encoding: str) -> Path:
    return edited.encode(tmp_path / "film.mp4", Edit(shots, size=SIZE), **encoding)  # type: ignore[arg-type]


def found(seen: Seen) -> list[tuple[str, float]]:
    return [(change.kind, change.seconds) for change in seen.scenes.changes]


def agrees(seen: Seen, known: list[Known]) -> bool:
    """Tell whether each change was found as what it is, a cut to the frame, and nothing else."""
    changes = seen.scenes.changes
    return len(changes) == len(known) and all(
        change.kind == there.kind and there.start - 0.002 <= change.seconds <= there.end + 0.002
        for change, there in zip(changes, known, strict=True)
    )


# Cuts


@pytest.mark.parametrize("name", edited.films())
async def test_what_is_in_a_film_is_found_and_nothing_else(
    tmp_path: Path, look: Look, name: str
) -> None:
    edit = dataclasses.replace(edited.films()[name], size=SIZE)
    seen = await look(edited.encode(tmp_path / "film.mp4", edit))
    assert agrees(seen, edit.known()), (found(seen), edit.known())
    assert seen.scenes.scene_count == len(edit.known()) + 1
    assert not seen.scenes.notes


async def test_a_cut_is_found_to_the_frame_where_the_encoder_put_no_keyframe(
    tmp_path: Path, look: Look
) -> None:
    edit = Edit([Shot(n, 1.0 + n / RATE, walkers=n % 2) for n in range(5)], size=SIZE)
    seen = await look(edited.encode(tmp_path / "film.mp4", edit, sc_threshold="0", bf="3"))
    assert agrees(seen, edit.known()), (found(seen), edit.known())
    assert seen.scenes.frames_looked_at < 0.75 * len(list(edit.frames()))


@pytest.mark.parametrize(
    ("name", "codec"), [("film.webm", "libvpx"), ("film.avi", "mpeg4"), ("film.ts", "mpeg2video")]
)
async def test_cuts_are_found_in_other_codecs_and_containers(
    tmp_path: Path, look: Look, name: str, codec: str
) -> None:
    edit = Edit([Shot(n, 1.2, pan=0.1 * n) for n in range(4)], size=SIZE)
    seen = await look(edited.encode(tmp_path / name, edit, codec=codec, b="2M"))
    assert agrees(seen, edit.known()), (found(seen), edit.known())


async def test_scenes_follow_one_another_and_each_has_a_picture_of_itself(
    tmp_path: Path, look: Look
) -> None:
    seen = await look(film(tmp_path, *(Shot(n, 1.4) for n in range(4))))
    starts = [scene.start_seconds for scene in seen.scenes.scenes]
    ends = [scene.end_seconds for scene in seen.scenes.scenes]
    assert (starts[0], starts[1:]) == (0, ends[:-1])
    assert ends[-1] == seen.scenes.duration_seconds == pytest.approx(5.6, abs=0.05)
    for number, scene in enumerate(seen.scenes.scenes):
        assert scene.picture is not None
        assert scene.start_seconds < scene.picture.seconds < scene.end_seconds
        with Image.open(tmp_path / "made" / scene.picture.name) as opened:
            assert opened.size == (scene.picture.width, scene.picture.height) == SIZE
            picture = opened.convert("RGB")
        drawn = Image.fromarray(edited.draw(Shot(number), 0, SIZE).astype("uint8"))
        for at in ((20, 20), (96, 54), (150, 90)):
            box = (at[0], at[1], at[0] + 4, at[1] + 4)
            here, there = (p.crop(box).resize((1, 1)).getpixel((0, 0)) for p in (picture, drawn))
            assert isinstance(here, tuple)
            assert isinstance(there, tuple)
            assert max(abs(a - b) for a, b in zip(here, there, strict=True)) < 30


async def test_frames_at_uneven_times_make_no_cuts(
    encode: Encode, look: Look, tmp_path: Path
) -> None:
    stamps = [0, 40, 80, 400, 440, 1400, 1440, 1480, 3000, 3040, 3041, 5000]
    place = edited.draw(Shot(1), 0, SIZE).astype("uint8")
    seen = await look(
        encode("odd.mkv", stamps=stamps, size=SIZE, picture=lambda _: Image.fromarray(place))
    )
    assert found(seen) == []
    assert seen.scenes.duration_seconds == pytest.approx(5, abs=0.1)


async def test_slides_that_stay_for_long_are_scenes(encode: Encode, look: Look) -> None:
    def slide(number: int) -> Image.Image:
        return Image.fromarray(edited.draw(Shot(300 + number), 0, SIZE).astype("uint8"))

    seen = await look(encode("slides.mkv", stamps=[0, 4000, 9000], size=SIZE, picture=slide))
    assert found(seen) == [("cut", 4.0), ("cut", 9.0)]


async def test_time_goes_on_where_time_stamps_begin_anew(tmp_path: Path, look: Look) -> None:
    parts = []
    for number in range(2):
        path = tmp_path / f"part{number}.ts"
        edited.encode(path, Edit([Shot(number, 2.0)], size=SIZE), codec="mpeg2video", b="2M")
        parts.append(path.read_bytes())
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(parts))
    seen = await look(joined)
    assert len(found(seen)) == 1
    assert found(seen)[0][1] == pytest.approx(2.0, abs=0.1)
    assert seen.scenes.duration_seconds == pytest.approx(4.0, abs=0.15)


# Motion


async def test_the_speed_of_the_camera_is_measured(tmp_path: Path, look: Look) -> None:
    seen = await look(film(tmp_path, Shot(1, 4.0, pan=0.2)))
    motion = seen.motion
    assert motion.camera_share is not None
    assert motion.camera_share > 0.95
    assert motion.camera_path == pytest.approx(0.8, rel=0.1)
    for _, moving, camera, objects in motion.points[3:]:
        assert camera == pytest.approx(0.2, rel=0.15)
        assert objects < 0.1 < moving


async def test_things_that_move_are_not_taken_for_the_camera(tmp_path: Path, look: Look) -> None:
    motion = (await look(film(tmp_path, Shot(1, 4.0, walkers=3)))).motion
    assert (motion.camera_share, motion.camera_path) == (0, 0)
    assert motion.object_share is not None
    assert motion.object_share > 0.95


async def test_where_nothing_moves_the_picture_stands_still(tmp_path: Path, look: Look) -> None:
    still, moving = Shot(1, 4.0), Shot(2, 3.0, pan=0.3)
    edit = Edit([moving, still, moving], size=SIZE, grain=0.5)
    seen = await look(edited.encode(tmp_path / "film.mp4", edit))
    (freeze,) = seen.motion.freezes
    assert (freeze.start_seconds, freeze.end_seconds) == pytest.approx((3.0, 7.0), abs=0.15)
    assert seen.motion.still_share == pytest.approx(0.4, abs=0.03)
    assert "the picture stands still from 0:00:03.0 to 0:00:0" in describe_motion(seen.motion)


async def test_the_curve_has_at_most_600_points(encode: Encode, look: Look) -> None:
    stamps = [n * 100 for n in range(1300)]
    seen = await look(encode("long.mkv", stamps=stamps, rate=10, size=(64, 48)))
    assert 300 <= len(seen.motion.points) <= 600
    assert seen.motion.interval_seconds == pytest.approx(0.4)
    times = [point[0] for point in seen.motion.points]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(130, abs=0.5)


# What is odd or broken


async def test_a_film_of_one_frame_is_one_scene_of_which_no_motion_is_told(
    encode: Encode, even: Even, look: Look
) -> None:
    seen = await look(encode("one.mp4", stamps=even(1)))
    assert (seen.scenes.scene_count, found(seen)) == (1, [])
    assert seen.scenes.scenes[0].picture is not None
    assert (seen.motion.still_share, seen.motion.points) == (None, ())
    assert describe_motion(seen.motion) == "one frame: nothing can be said of motion"
    assert describe_scenes(seen.scenes).startswith("1 scene, 0 cuts, 0 dissolves, 0 fades\n1. ")


async def test_damage_is_told_and_what_follows_is_read(tmp_path: Path, look: Look) -> None:
    edit = Edit([Shot(n, 1.5) for n in range(6)], size=SIZE)
    whole = edited.encode(tmp_path / "film.ts", edit, g="20")
    broken = bytearray(whole.read_bytes())
    third = len(broken) // 3
    broken[third : third + 20_000] = bytes(20_000)
    (tmp_path / "broken.ts").write_bytes(broken)
    seen = await look(tmp_path / "broken.ts")
    known = [there.start for there in edit.known()]
    late = [seconds for _, seconds in found(seen) if seconds > 4]
    assert late == pytest.approx([seconds for seconds in known if seconds > 4], abs=0.1)
    assert seen.scenes.duration_seconds == pytest.approx(9, abs=0.2)


async def test_a_film_that_is_cut_off_is_told(tmp_path: Path, look: Look) -> None:
    edit = Edit([Shot(n, 2.0) for n in range(4)], size=SIZE)
    content = edited.encode(tmp_path / "film.mkv", edit).read_bytes()
    cut_off = tmp_path / "cut-off.mkv"
    cut_off.write_bytes(content[: len(content) // 2])
    seen = await look(cut_off)
    assert 1 < seen.scenes.duration_seconds < 7
    assert any("of the 8.0 s of video could be read" in note for note in seen.scenes.notes)


async def test_a_film_without_a_frame_is_rejected_in_a_sentence(
    encode: Encode, even: Even, look: Look, tmp_path: Path
) -> None:
    whole = encode("fine.mp4", stamps=even(50), faststart=True)
    content = bytearray(whole.read_bytes())
    start = content.index(b"mdat") + 4
    content[start:] = bytes(len(content) - start)
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(content)
    with pytest.raises(Rejected, match=r"no frame of empty\.mp4 could be decoded"):
        await look(empty)


# How it is read


def seen_here(path: Path, into: Path, told: list[float] | None = None) -> Seen:
    """Do the work in this process, where limits can be set."""
    job: dict[str, Any] = {
        "source": str(path),
        "name": path.name,
        "into": str(into),
        "format": "jpeg",
    }
    told = [] if told is None else told
    return Seen.model_validate(scenes(job, lambda part, _doing: told.append(part)))


def test_progress_is_told_from_where_the_film_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "TELL_SECONDS", 0)
    told: list[float] = []
    seen_here(film(tmp_path, Shot(1, 4.0)), tmp_path, told)
    assert told == sorted(told)
    assert told[0] < 0.1
    assert told[-1] == 1
    assert len(told) > 50


def test_of_a_film_that_would_take_too_long_keyframes_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit = Edit([Shot(n, 3.0, pan=0.1) for n in range(4)], size=SIZE)
    path = edited.encode(tmp_path / "film.mp4", edit, gop=RATE)
    monkeypatch.setattr(reading, "PIXELS_PER_SECOND", 1000.0)
    seen = seen_here(path, tmp_path)
    assert seen.scenes.method == seen.motion.method == "keyframes"
    assert seen.scenes.frames_looked_at == 12
    assert agrees(seen, edit.known()), found(seen)
    assert seen.motion.camera_path == pytest.approx(0.8, rel=0.15)


def test_when_time_runs_out_keyframes_are_read_on_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = edited.encode(
        tmp_path / "film.mp4", Edit([Shot(n, 3.0) for n in range(4)], size=SIZE), gop=RATE
    )
    passed = iter(range(10**6))
    monkeypatch.setattr(reading.time, "monotonic", lambda: next(passed) / 100)
    monkeypatch.setattr(reading, "BUDGET_SECONDS", 4.0)
    seen = seen_here(path, tmp_path)
    assert any("on only keyframes were read" in note for note in seen.scenes.notes)
    assert 50 < seen.scenes.frames_looked_at < 200
    assert [round(seconds) for _, seconds in found(seen)] == [3, 6, 9]


def test_pictures_are_kept_of_the_longest_scenes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stills, "MOST", 2)
    path = film(tmp_path, *(Shot(n, seconds) for n, seconds in enumerate((1.2, 3.0, 0.8, 2.0, 1))))
    seen = seen_here(path, tmp_path / "made")
    assert [scene.number for scene in seen.scenes.scenes if scene.picture] == [2, 4]
    assert sorted(p.name for p in (tmp_path / "made").iterdir()) == [
        "scene-00002.jpg",
        "scene-00004.jpg",
    ]


def test_of_a_long_scene_few_pictures_are_put_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered: list[int] = []
    offer = stills.Album.offer

    def count(album: stills.Album, *given: Any) -> None:
        offer(album, *given)
        offered.append(len(album._aside))

    monkeypatch.setattr(stills.Album, "offer", count)
    path = edited.encode(
        tmp_path / "film.mp4", Edit([Shot(1, 60.0, zoom=0.01)], rate=5, size=(64, 36))
    )
    seen = seen_here(path, tmp_path / "made")
    assert max(offered) <= 2 * stills.KEPT
    (scene,) = seen.scenes.scenes
    assert scene.picture is not None
    assert scene.picture.seconds == pytest.approx(30, abs=6)


def test_the_reader_says_how_much_it_left_out(tmp_path: Path) -> None:
    reader = reading.Reader(Film(str(film(tmp_path, Shot(1, 2.0))), "film.mp4"), lambda _: None)
    times = [seconds for seconds, _ in reader.frames()]
    assert times == sorted(set(times))
    assert (times[0], reader.damaged, reader.notes) == (0, 0, [])
    assert reader.end == pytest.approx(2.0, abs=0.001)
