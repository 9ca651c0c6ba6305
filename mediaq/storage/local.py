"""Files on this machine: written to temp, synced, renamed, so that each is whole or not there."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar
from uuid import UUID

from mediaq.errors import Unavailable
from mediaq.model import Stored

P = ParamSpec("P")
T = TypeVar("T")


COPIES = "uploads/requests"
"""The key below which copies lie that were made for one request each, by its id."""


class LocalStorage:
    """The backend ``local``: folders ``uploads``, ``outputs`` and ``temp`` below one root.

    Temp lies on the same file system as the rest, which is what makes a rename atomic.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.uploads = self.root / "uploads"
        self.copies = self.root / COPIES
        self.outputs = self.root / "outputs"
        self.temp = self.root / "temp"

    def prepare(self) -> None:
        """Make the folders; :class:`Unavailable` when the disk or its rights say no."""
        try:
            for folder in (self.uploads, self.outputs, self.temp):
                _make_folder(folder)
        except OSError as error:
            msg = f"the storage folder {self.root} cannot be made: {error.strerror}"
            raise Unavailable(msg) from error

    @asynccontextmanager
    async def workspace(self) -> AsyncIterator[Path]:
        """Lend an empty private folder in temp, removed with all in it afterwards."""
        try:
            # Whoever cleaned up may have removed the folders as well.
            _make_folder(self.temp)
            folder = Path(tempfile.mkdtemp(dir=self.temp))
        except OSError as error:
            msg = f"no folder can be made in the storage's temp: {error.strerror}"
            raise Unavailable(msg) from error
        try:
            yield folder
        finally:
            await _to_the_end(shutil.rmtree, folder, ignore_errors=True)

    async def put(self, source: Path, key: str) -> Stored:
        """Move ``source``, a file in this storage's temp, to ``key``, and return its checksum.

        A key is a relative path of plain names. Raises :class:`Unavailable` when the disk fails
        or is full.
        """
        target = self._place(key)
        try:
            return await _to_the_end(_put, source, target)
        except OSError as error:
            msg = f"a file cannot be stored: {error.strerror}"
            raise Unavailable(msg, key=key) from error

    async def remove(self, key: str) -> None:
        """Remove the folder or file at ``key``, if any, and the folders that it leaves empty.

        Raises :class:`Unavailable` when something stays.
        """
        place = self._place(key)
        try:
            await _to_the_end(_remove, place, self.root.joinpath(key.split("/", maxsplit=1)[0]))
        except OSError as error:
            msg = f"stored files cannot be removed: {error.strerror}"
            raise Unavailable(msg, key=key) from error

    def copy(self, source: Path, request_id: UUID) -> Path:
        """Copy a file to the uploads for one request alone, with which it goes.

        Raises :class:`Unavailable` when the disk fails or is full.
        """
        folder = self.copies / str(request_id)
        try:
            _make_folder(folder)
            return Path(shutil.copyfile(source, folder / source.name))
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            msg = f"{source} cannot be copied to {self.uploads}: {error.strerror}"
            raise Unavailable(msg) from error

    async def copied(self, age: float = 0) -> set[UUID]:
        """Name the requests that have a copy, untouched for ``age`` seconds."""
        return await asyncio.to_thread(self._copied, time.time() - age)

    def _copied(self, before: float) -> set[UUID]:
        found = set()
        for folder in self.copies.glob("*"):
            # A file that is being copied right now tells it by its own time.
            with suppress(OSError, ValueError):
                if all(path.stat().st_mtime <= before for path in (folder, *folder.iterdir())):
                    found.add(UUID(folder.name))
        return found

    async def output_folders(self, age: float) -> list[tuple[UUID, str]]:
        """List the folders of steps, each with its request, untouched for ``age`` seconds."""
        return await asyncio.to_thread(self._output_folders, time.time() - age)

    def _output_folders(self, before: float) -> list[tuple[UUID, str]]:
        found = []
        for folder in self.outputs.glob("*/*"):
            with suppress(OSError, ValueError):
                if folder.is_dir() and folder.stat().st_mtime <= before:
                    found.append((UUID(folder.parent.name), str(folder)))
        return found

    async def remove_path(self, path: str) -> None:
        """Remove what :meth:`output_folders` listed."""
        await self.remove(Path(path).relative_to(self.root).as_posix())

    async def remove_old_workspaces(self, age: float) -> None:
        """Remove what a killed process left in temp ``age`` seconds ago or longer."""
        await asyncio.to_thread(self._remove_old_workspaces, time.time() - age)

    def _remove_old_workspaces(self, before: float) -> None:
        for entry in self.temp.iterdir():
            with suppress(OSError):
                if entry.stat().st_mtime <= before:
                    _remove(entry, self.temp)

    def _place(self, key: str) -> Path:
        parts = key.split("/")
        if not all(part not in {"", ".", ".."} and "\0" not in part for part in parts):
            msg = f"not a storage key: {key!r}"
            raise ValueError(msg)
        return self.root.joinpath(*parts)


async def _to_the_end(work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """Do work in a thread; when cancelled, wait for it first, since a thread cannot be stopped.

    Else a file could still appear behind the back of whoever cleans up after the cancellation.
    """
    running = asyncio.get_running_loop().run_in_executor(
        None, functools.partial(work, *args, **named)
    )
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        running.exception()  # is of no interest any more
        raise


def _put(source: Path, target: Path) -> Stored:
    digest = hashlib.sha256()
    with source.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
        size = file.tell()
        os.fsync(file.fileno())
    source.chmod(0o640)
    try:
        _move(source, target)
    except FileNotFoundError:
        # A removal beside us found the folder empty.
        _move(source, target)
    try:
        _sync(target.parent)
    except OSError:
        target.unlink()
        raise
    return Stored(
        file_path=str(target), size_bytes=size, sha256=digest.hexdigest(), location="local"
    )


def _move(source: Path, target: Path) -> None:
    _make_folder(target.parent)
    source.replace(target)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, for our user and group, and let them survive a crash."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(exist_ok=True, mode=0o750)
        _sync(place.parent)


def _sync(folder: Path) -> None:
    """Make a new name survive a power cut: it is in the folder, not in the file."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(place: Path, stop: Path) -> None:
    """Remove ``place``, then the folders above it that are empty, up to ``stop``."""
    if place.is_dir() and not place.is_symlink():
        # Others may remove the same meanwhile, so that names vanish under our hands; what is
        # still there the second time cannot be removed.
        shutil.rmtree(place, ignore_errors=True)
        if place.exists():
            shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
    above = place.parent
    # Another may make or remove names there meanwhile: then the folder is theirs to remove.
    with suppress(OSError):
        while above != stop and above.is_relative_to(stop):
            above.rmdir()
            above = above.parent
