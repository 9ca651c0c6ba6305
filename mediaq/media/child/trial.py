"""The job ``trial``: try what the sandbox must forbid, and tell what it did."""

from __future__ import annotations

import os
import socket
from typing import Any

from mediaq.media.child import landlock

# A file of every machine that no decoder needs.
FOREIGN = "/etc/passwd"


def trial(_job: dict[str, Any], _tell: object) -> dict[str, Any]:
    """Tell what is closed, with the fields of ``mediaq.model.Sandbox``."""
    return {
        "files": not _can_read(FOREIGN),
        "network": not _can_call(),
        "processes": not _can_fork(),
        "landlock": landlock.version(),
    }


def _can_read(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY))
    except PermissionError:
        return False
    return True


def _can_call() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    except PermissionError:
        return False
    return True


def _can_fork() -> bool:
    try:
        pid = os.fork()
    except PermissionError:
        return False
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return True
