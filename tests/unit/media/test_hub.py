"""Where a speech model of the user's own is found, and what is said when it is not."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from mediaq.errors import Rejected
from mediaq.media import hub

FETCH = """
import asyncio, sys
from mediaq.errors import MediaqError
from mediaq.media import hub
try:
    print(asyncio.run(hub.folder_of(sys.argv[1])))
except MediaqError as error:
    print(type(error).__name__, error)
"""


async def test_nothing_is_asked_of_anyone_without_the_setting() -> None:
    assert await hub.folder_of(None) is None


async def test_a_folder_with_a_model_is_taken(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"")
    assert await hub.folder_of(str(tmp_path)) == str(tmp_path)


@pytest.mark.parametrize("name", ["/nowhere/at/all", "./here", "a/b/c", "~/model"])
async def test_a_path_without_a_model_is_said(name: str) -> None:
    with pytest.raises(Rejected, match=r"which is no folder with a model\.bin in it"):
        await hub.folder_of(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("small", "Unavailable the speech model Systran/faster-whisper-small cannot be fetched"),
        ("some/model", "Unavailable the speech model some/model cannot be fetched"),
        ("so me", "Rejected MEDIAQ_WHISPER_MODEL names Systran/faster-whisper-so me, which is no"),
    ],
)
async def test_a_name_of_the_hub_is_asked_for_there(
    name: str, said: str, tmp_path: Path, unused_port: int
) -> None:
    """The hub is a port that nobody listens on."""
    environment = {
        "PATH": os.environ["PATH"],
        "HF_HOME": str(tmp_path),
        "HF_ENDPOINT": f"http://127.0.0.1:{unused_port}",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FETCH, name), env=environment, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert out.decode().startswith(said)


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
