"""Remove the stored bytes of deleted requests, by the job that their deletion queued."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from mediaq import db
from mediaq.errors import Unavailable
from mediaq.kit import Storage

REMOVE_FILES = "mediaq.remove_files"
"""The task's name, as the database's trigger queues it."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Removal:
    """What the removals of this process share."""

    pool: db.Pool
    storage: Storage

    async def remove_files(self, request_ids: Sequence[str]) -> None:
        """Remove everything stored for these requests, if it is there.

        A request that exists, as after a deletion that was undone by inserting the row again,
        keeps its files. Raises :class:`Unavailable` when some files stay, after all others are
        gone; the job is then tried again.
        """
        asked = [UUID(request_id) for request_id in request_ids]
        stuck: Unavailable | None = None
        for row in await self.pool.fetch(db.queries()["gone_requests"], asked):
            try:
                await self.storage.remove(f"outputs/{row['id']}")
            except Unavailable as error:
                log.warning("files.stuck", request_id=str(row["id"]), error=error.message)
                stuck = error
        if stuck is not None:
            raise stuck
        log.info("files.removed", requests=len(asked))
