"""A small disk of a test's own, which gets really full."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SIZE = 64 * 1024 * 1024
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a disk, not a place for temporary files
MARK = "TESTS_MAY_MOUNT"
"""Set for a process that runs in name spaces of its own."""

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Lay an empty disk over ``folder``; ``PermissionError`` where we may not."""
    options = f"size={SIZE},mode=0777".encode()
    if _libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, options) != 0:
        raise OSError(ctypes.get_errno(), "no disk can be mounted")
    try:
        yield
    finally:
        # Lazily: a server that ends just now may still have files open.
        _libc.umount2(os.fsencode(folder), 2)


def may_mount(folder: Path) -> bool:
    try:
        with small_disk(folder):
            return True
    except PermissionError:
        return False


def shared_memory_is_small() -> bool:
    """Whether the root of a container may fill what is there; an ordinary user need not."""
    return os.geteuid() == 0 and shutil.disk_usage(SHARED_MEMORY).total <= 8 * SIZE


def elsewhere(test: str) -> None:
    """Run a test in name spaces of its own, where an ordinary user may mount."""
    if os.environ.get(MARK):
        msg = "even in name spaces of its own this process may not mount a disk"
        raise AssertionError(msg)
    command = ["unshare", "--user", "--map-current-user", "--keep-caps", "--mount"]
    ended = subprocess.run(
        [*command, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        env={**os.environ, MARK: "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def fill(folder: Path) -> Path:
    """Fill the disk at ``folder`` to its last byte with a file, and return that."""
    filler = folder / "filler"
    with filler.open("ab", buffering=0) as file:
        block = 1 << 20
        while block:
            try:
                file.write(b"\1" * block)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                block //= 2
    return filler


def free(filler: Path) -> None:
    with suppress(FileNotFoundError):
        filler.unlink()
