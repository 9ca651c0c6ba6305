"""A speech model of the user's own: a folder, or one that is fetched from the Hugging Face hub."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mediaq.errors import Rejected, Unavailable

# What a faster-whisper model consists of.
PARTS = ["config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*"]
OWNER = "Systran/faster-whisper-"


async def folder_of(name: str | None) -> str | None:
    """Give the folder of the model ``name``; a name of the hub is fetched when it is not here yet.

    ``name`` is a folder, ``owner/model``, or a size such as ``small``. Raises :class:`Rejected`
    when it can be none of them, :class:`Unavailable` when it cannot be fetched.
    """
    if name is None:
        return None
    return await asyncio.to_thread(_folder_of, name)


def _folder_of(name: str) -> str:
    if (Path(name) / "model.bin").is_file():
        return str(Path(name).absolute())
    if Path(name).exists() or name.startswith(("/", ".", "~")) or name.count("/") > 1:
        msg = f"MEDIAQ_WHISPER_MODEL names {name}, which is no folder with a model.bin in it"
        raise Rejected(msg)
    return _fetched(name if "/" in name else OWNER + name)


def _fetched(repository: str) -> str:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
        )
    except ImportError:
        msg = f"fetching the speech model {repository} needs pip install 'mediaq[local]'"
        raise Rejected(msg) from None
    try:
        try:
            return snapshot_download(repository, allow_patterns=PARTS, local_files_only=True)
        except LocalEntryNotFoundError:
            return snapshot_download(repository, allow_patterns=PARTS)
    except HFValidationError:
        msg = f"MEDIAQ_WHISPER_MODEL names {repository}, which is no name of the Hugging Face hub"
        raise Rejected(msg) from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        why = type(error).__name__
        msg = f"the speech model {repository} cannot be fetched from the Hugging Face hub: {why}"
        raise Unavailable(msg) from error
