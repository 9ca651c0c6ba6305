"""The embedded server is killed under `mediaq up`, which starts it again and goes on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp


async def said(process: asyncio.subprocess.Process, event: str) -> dict[str, Any]:
    """Wait for an event of the log."""
    assert process.stderr is not None
    async for line in process.stderr:
        told: dict[str, Any] = json.loads(line)
        if told["event"] == event:
            return told
    raise AssertionError(event)


async def completes(client: aiohttp.ClientSession, video: Path) -> None:
    """Submit until it is accepted, then wait for the end."""
    while True:
        body = {"media_path": str(video), "options": {"frames": 1}}
        async with client.post("/api/media/video", json=body) as answer:
            assert answer.status in {202, 503}
            if answer.status == 202:
                break
            assert answer.headers["Retry-After"]
        await asyncio.sleep(0.1)
    place = answer.headers["Location"]
    while True:
        async with client.get(place) as answer:
            assert answer.status == 200
            detail = await answer.json()
            assert detail["failed_attempts"] == 0
            if detail["status"] == "completed":
                return
        await asyncio.sleep(0.05)


async def test_a_killed_postmaster_is_started_again_and_everything_goes_on(
    home: Path, video: Path, tmp_path: Path
) -> None:
    place = home / "killed"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mediaq", "up"),
        env={
            "PATH": os.environ["PATH"],
            "MEDIAQ_HOME": str(place),
            "MEDIAQ_MEDIA_ROOTS": str(tmp_path),
            "MEDIAQ_PORT": "0",
        },
        stderr=asyncio.subprocess.PIPE,
    )
    number = place / "postgres" / "data" / "postmaster.pid"
    try:
        async with asyncio.timeout(100):
            url = (await said(process, "api.ready"))["url"]
            async with aiohttp.ClientSession(url) as client:
                await completes(client, video)
                for _ in range(2):
                    old = int(number.read_text().splitlines()[0])
                    os.kill(old, signal.SIGKILL)
                    await said(process, "postgres.restarted")
                    await completes(client, video)
                    assert int(number.read_text().splitlines()[0]) != old
            process.send_signal(signal.SIGTERM)
            await process.communicate()
        assert process.returncode == 0
        assert not number.exists()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
