"""Landlock, the part of Linux by which a process gives up the file system: three system calls."""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Numbers and bits of linux/landlock.h; the numbers are the same on every architecture.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION = 1
PATH_BENEATH = 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
# How many rights on files each version of the interface knows, from its first on.
RIGHTS = (13, 14, 15, 15, 16)
TCP = 0b11
SIGNALS_AND_ABSTRACT_SOCKETS = 0b11
TCP_SINCE, SCOPES_SINCE = 4, 6

_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """Tell which version of Landlock the kernel has, 0 for none."""
    return max(0, _call(CREATE_RULESET, None, 0, VERSION)) if sys.platform == "linux" else 0


def restrict(readable: Iterable[str], writable: Iterable[str]) -> bool:
    """Leave this thread, and those it starts, these paths and all below them and no program.

    Paths that do not exist are left out. Where the kernel knows, TCP, signals to other processes
    and abstract sockets go as well. False when it has no Landlock. Needs ``no_new_privs``.
    """
    known = version()
    if not known:
        return False
    rights = (1 << RIGHTS[min(known, len(RIGHTS)) - 1]) - 1
    ruleset = struct.pack(
        "=QQQ",
        rights,
        TCP if known >= TCP_SINCE else 0,
        SIGNALS_AND_ABSTRACT_SOCKETS if known >= SCOPES_SINCE else 0,
    )
    handle = _call(CREATE_RULESET, ruleset, len(ruleset), 0)
    if handle < 0:
        return False
    for path in readable:
        _allow(handle, path, READ_FILE | READ_DIR)
    for path in writable:
        _allow(handle, path, rights & ~EXECUTE)
    held = _call(RESTRICT_SELF, handle, 0) == 0
    os.close(handle)
    return held


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not stat.S_ISDIR(os.fstat(place).st_mode):
        rights &= OF_FILES
    rule = struct.pack("=Qi", rights, place)
    _call(ADD_RULE, ruleset, PATH_BENEATH, rule, 0)
    os.close(place)


def _call(number: int, *arguments: int | bytes | None) -> int:
    wide = (ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in arguments)
    answer: int = _libc.syscall(ctypes.c_long(number), *wide)
    return answer
