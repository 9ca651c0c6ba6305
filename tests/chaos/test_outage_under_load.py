"""PostgreSQL is stopped and started under the API, workers and requests that are being made."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from uuid import UUID

from structlog.testing import capture_logs

from mediaq import db
from mediaq.settings import Settings
from tests.chaos.conftest import Breakable
from tests.chaos.load import serving, settled, submit
from tests.conftest import working

OUTAGES = 3
EACH = 8
"""Requests that are accepted before each outage."""


async def test_everything_accepted_is_made_once_through_outages_and_soon_after(
    breakable: Breakable, settings: Settings, video: Path
) -> None:
    accepted: set[UUID] = set()
    patient = settings.model_copy(update={"heartbeat": 0.5})
    with capture_logs() as logs:
        async with (
            asyncio.timeout(100),
            serving(settings, breakable.database) as client,
            working(patient, breakable.database) as worker,
        ):
            for _ in range(OUTAGES):
                while len(accepted) % EACH or not accepted:
                    request_id = await submit(client, video)
                    assert request_id is not None
                    accepted.add(request_id)
                begun = sum(entry["event"] == "attempt.started" for entry in logs)
                while sum(entry["event"] == "attempt.started" for entry in logs) == begun:  # noqa: ASYNC110 - the log tells it
                    await asyncio.sleep(0.01)
                # In the middle of an attempt.
                await breakable.stop()
                assert await submit(client, video) is None
                assert (await asyncio.wait_for(client.get("/health"), 12)).status == 503
                await breakable.start()
                back = time.monotonic()
                while (  # noqa: ASYNC110 - the answer tells it
                    request_id := await submit(client, video)
                ) is None:
                    await asyncio.sleep(0.05)
                accepted.add(request_id)
                assert time.monotonic() - back < 5
            async with db.pool(breakable.database, name="test", size=1, overflow=2) as pool:
                await settled(breakable.database, pool, accepted, worker.storage.outputs)
    assert len(accepted) >= OUTAGES + EACH
    foul = {"request.failed", "queue.worker_ended", "attempt.retried", "attempt.lost"}
    assert not [entry for entry in logs if entry["event"] in foul]
