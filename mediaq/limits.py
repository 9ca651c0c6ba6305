"""How many files this process may have open, of which every connection is one."""

from __future__ import annotations

import resource
from contextlib import suppress


def open_files(wanted: int) -> int:
    """Raise the limit on open files to ``wanted`` where it is lower, and say what it is now.

    The limit in force is often 1024 for the sake of old programs, the one that may be asked for
    far higher.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    if soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
