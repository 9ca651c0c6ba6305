"""File locks, which the kernel gives back however their holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_STEP = 0.01


class Deadline:
    """The point in time, ``seconds`` from now, at which waiting is given up."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def pause(self) -> bool:
        """Wait a moment and return whether there is still time."""
        time.sleep(_STEP)
        return time.monotonic() < self._end


def open_private(path: Path, flags: int = os.O_RDWR) -> int:
    """Open or make a file of mode 0600, never through a symlink, closed in programs we start.

    It belongs to the owner of its folder, so a start by root leaves a user's own server usable.
    """
    fd = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    folder, file = path.parent.stat(), os.fstat(fd)
    if os.geteuid() == 0 and file.st_uid != folder.st_uid and file.st_nlink == 1:
        os.fchown(fd, folder.st_uid, folder.st_gid)
    return fd


def acquire(fd: int, *, shared: bool = False) -> bool:
    """Take or change the lock of an open file if that is possible without waiting."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def give_back(fd: int) -> None:
    """Free the lock of an open file and close it.

    Closing alone would leave the lock with a forked child that has a copy of the open file.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)


def is_free(path: Path) -> bool:
    """Whether nobody holds a lock on the file ``path``."""
    fd = open_private(path)
    try:
        return acquire(fd)
    finally:
        os.close(fd)


@contextmanager
def alone(path: Path, deadline: Deadline) -> Iterator[None]:
    """Hold ``path`` exclusively inside the block; raises ``TimeoutError`` at the deadline."""
    fd = open_private(path)
    try:
        while not acquire(fd):
            if not deadline.pause():
                msg = f"another process has held {path} all the time"
                raise TimeoutError(msg)
        yield
    finally:
        give_back(fd)
