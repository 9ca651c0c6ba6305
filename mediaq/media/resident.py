"""Child processes that stay, so that a model is loaded once and freed when nobody needs it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mediaq.media import process
from mediaq.media.process import Child, Tell

RESIDENT = frozenset({"transcription"})
"""The works that load models. Each has a child of its own that does one job at a time.

What such a work loads it keeps by ``functools.cache``. It reads its source and the folder
``job["model"]``, if that is told, and writes no files: what it finds is its answer.
"""

IDLE_SECONDS = 120.0
# A model is mapped, copied and worked with: more than a decoder is given.
LIMITS: Mapping[str, int] = {**process.LIMITS, "AS": 12 * 1024**3}


class Residents:
    """The resident children of one worker; all have ended when the block has."""

    def __init__(self, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._of: dict[str, _Resident] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await asyncio.gather(*(resident.end() for resident in self._of.values()))
        self._of.clear()

    async def run(
        self,
        job: Mapping[str, Any],
        *,
        name: str,
        source: Path,
        seconds: float,
        tell: Tell | None = None,
    ) -> dict[str, Any]:
        """Do ``job`` in the child of its work, after those that came before it.

        Raises what :meth:`mediaq.media.process.Child.do` does; ``seconds`` count from its start.
        """
        work = job["work"]
        if work not in self._of:
            self._of[work] = _Resident(self._idle_seconds)
        return await self._of[work].run(job, name=name, source=source, seconds=seconds, tell=tell)


class _Resident:
    """One child, started when there is a job and ended when there was none for a while."""

    def __init__(self, idle_seconds: float) -> None:
        self._idle_seconds = idle_seconds
        self._free = asyncio.Lock()
        self._child: Child | None = None
        self._leaving: asyncio.Task[None] | None = None
        # The only folder that the child ever reads sources from: it may be confined to it.
        self._inbox = tempfile.TemporaryDirectory(prefix="mediaq-", ignore_cleanup_errors=True)

    async def run(
        self,
        job: Mapping[str, Any],
        *,
        name: str,
        source: Path,
        seconds: float,
        tell: Tell | None,
    ) -> dict[str, Any]:
        async with self._free:
            await self._stay()
            if self._child is None:
                self._child = await Child.start()
            child, model = self._child, job.get("model")
            with _within(Path(self._inbox.name), source) as inside:
                await asyncio.to_thread(_bring, source, inside)
                try:
                    return await child.do(
                        {
                            "limits": dict(LIMITS),
                            "stay": True,
                            "readable": [self._inbox.name, *([model] if model else [])],
                            **job,
                        },
                        name=name,
                        source=inside,
                        seconds=seconds,
                        tell=tell,
                    )
                finally:
                    if child.sound:
                        self._leaving = asyncio.create_task(self._leave())
                    else:
                        await self._end_child()

    async def end(self) -> None:
        """End the child and remove the inbox."""
        async with self._free:
            await self._stay()
            await self._end_child()
            self._inbox.cleanup()

    async def _stay(self) -> None:
        """Stop leaving; a child that has ended meanwhile is forgotten."""
        if self._leaving is not None:
            self._leaving.cancel()
            await asyncio.gather(self._leaving, return_exceptions=True)
            self._leaving = None
        if self._child is not None and self._child.ended:
            await self._end_child()

    async def _leave(self) -> None:
        await asyncio.sleep(self._idle_seconds)
        await self._end_child()

    async def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.end()


@contextlib.contextmanager
def _within(inbox: Path, source: Path) -> Iterator[Path]:
    """Name a place in ``inbox`` for ``source``; it is empty again afterwards."""
    inside = inbox / f"source{source.suffix[:16]}"
    try:
        yield inside
    finally:
        inside.unlink(missing_ok=True)


def _bring(source: Path, inside: Path) -> None:
    """Link ``source``, or copy it where it lies on another disk."""
    try:
        os.link(source.resolve(), inside)
    except OSError:
        shutil.copyfile(source, inside)
