"""What systemd hears of a worker: ready and alive, as long as claims and heartbeats really work."""

from __future__ import annotations

import asyncio
import time

import structlog

from mediaq import systemd
from mediaq.queue.connector import AsyncpgConnector

LOOK_SECONDS = 1.0
"""How often the worker is looked at, where systemd does not ask for more."""

MISSED = 2.5
"""So many polls or heartbeats may be late before the worker counts as stuck."""

log = structlog.get_logger()


async def watch(connector: AsyncpgConnector, poll_seconds: float, beat_seconds: float) -> None:
    """Say ready after the first claim, then give signs of life while there are any, for ever."""
    began = time.monotonic()
    asked = systemd.watchdog_seconds()
    pause = min(LOOK_SECONDS, asked / 3) if asked else LOOK_SECONDS
    ready = False
    well = True
    while True:
        await asyncio.sleep(pause)
        if not ready and connector.jobs.claimed_at > began:
            ready = True
            systemd.notify("READY=1")
        now = time.monotonic()
        beats = now - connector.beaten_at < MISSED * beat_seconds
        # A worker that has all hands full does not claim.
        claims = connector.jobs.full or now - connector.jobs.claimed_at < max(
            MISSED * poll_seconds, beat_seconds
        )
        if ready and beats and claims:
            systemd.notify("WATCHDOG=1")
        if (beats and claims) != well:
            well = beats and claims
            log.log(20 if well else 40, "queue.pulse", heartbeats=beats, claims=claims)
