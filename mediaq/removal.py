"""Remove the stored bytes of deleted requests, by the job that their deletion queued."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

import structlog

from mediaq import db, recovery
from mediaq.errors import Unavailable
from mediaq.storage.local import COPIES, LocalStorage

REMOVE_FILES = "mediaq.remove_files"
"""The task's name, as the database's trigger queues it."""

SWEEP_SECONDS = 3600.0
"""How often files without a row are looked for, and how old they must be to be removed."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Removal:
    """What the removals of this process share."""

    pool: db.Pool
    storage: LocalStorage

    async def remove_files(self, request_ids: Sequence[str]) -> None:
        """Remove everything stored for these requests, if it is there, and copied for them alone.

        A request that exists, as after a deletion that was undone by inserting the row again,
        keeps its files. Raises :class:`Unavailable` when some files stay, after all others are
        gone; the job is then tried again.
        """
        asked = [UUID(request_id) for request_id in request_ids]
        gone = [row["id"] for row in await self.pool.fetch(db.queries()["gone_requests"], asked)]
        keys = [f"outputs/{request_id}" for request_id in gone]
        keys += await self._unused_copies(await self.storage.copied() & set(gone))
        stuck: Unavailable | None = None
        for key in keys:
            try:
                await self.storage.remove(key)
            except Unavailable as error:
                log.warning("files.stuck", key=key, error=error.message)
                stuck = error
        if stuck is not None:
            raise stuck
        log.info("files.removed", requests=len(asked))

    async def keep_swept(self, longest_attempt: float) -> None:
        """Remove stored files that no row points to, as a crash leaves them, for ever."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            with suppress(*db.PASSING_ERRORS, Unavailable):
                await self.sweep(SWEEP_SECONDS, longest_attempt)

    async def sweep(self, grace: float, longest_attempt: float) -> None:
        """Remove files and copies without a row, and workspaces, untouched for ``grace`` seconds.

        A workspace may be quiet for as long as an attempt may last.
        """
        await self.storage.remove_old_workspaces(grace + longest_attempt)
        folders = await self.storage.output_folders(grace)
        for folder in await recovery.unreferenced(self.pool, folders):
            await self.storage.remove_path(folder)
            log.warning("files.swept", folder=folder)
        for key in await self._unused_copies(await self.storage.copied(grace)):
            await self.storage.remove(key)
            log.warning("copy.swept", key=key)

    async def _unused_copies(self, copied: Collection[UUID]) -> list[str]:
        if not copied:
            return []
        unused = await recovery.unused_copies(self.pool, copied)
        return [f"{COPIES}/{request_id}" for request_id in unused]
