"""What the child gives up before it looks at a foreign byte, by one call of :func:`confine`."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mediaq.media.child import landlock, seccomp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NICENESS = 5
# Seconds between the signal that names the limit and the kill.
CPU_GRACE = 5
PR_SET_NO_NEW_PRIVS = 38
CAPABILITIES_V3 = 0x20080522
# CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: root reads sources that belong to somebody else.
KEPT = 0b110

# Where libraries, and the data that they need, lie on a Linux machine.
SYSTEM = (
    *("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/lib", "/lib64", "/nix/store"),
    *("/usr/share", "/usr/local/lib", "/usr/local/lib64", "/usr/local/share"),
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/fonts", "/proc/self", "/proc/cpuinfo"),
    *("/proc/meminfo", "/sys/devices/system", "/sys/bus/pci/devices", "/dev/urandom"),
)


def confine(
    limits: Mapping[str, int],
    *,
    readable: Iterable[str] = (),
    writable: Iterable[str] = (),
    forks: bool = False,
) -> None:
    """Lower the limits and, where the kernel can, leave only these paths, no socket, no process.

    Libraries, and what lies on the import path, stay readable. A ``writable`` folder is made when
    it is not there, and is the place for temporary files. To be called before the first thread
    starts: those that run already would keep the file system.
    """
    for folder in writable:
        Path(folder).mkdir(parents=True, exist_ok=True)
        os.environ["TMPDIR"] = folder
    os.nice(NICENESS)
    set_limits(limits)
    if sys.platform != "linux":
        return
    # When memory runs out, this process is the one to end, not the worker or the database.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return
    _drop_capabilities(libc)
    landlock.restrict(
        [*SYSTEM, *_libraries(), *readable],
        [*writable, "/dev/null"],
    )
    seccomp.forbid(forks=forks)


def set_limits(limits: Mapping[str, int]) -> None:
    """Lower resource limits by their names without ``RLIMIT_``; a core file is never written."""
    for name, value in {"CORE": 0, **limits}.items():
        which = getattr(resource, f"RLIMIT_{name}")
        _, hard = resource.getrlimit(which)
        most = float("inf") if hard == resource.RLIM_INFINITY else hard
        # At the soft limit of processor time comes a signal that tells this end from others.
        grace = CPU_GRACE if name == "CPU" else 0
        resource.setrlimit(which, (int(min(value, most)), int(min(value + grace, most))))


def _libraries() -> list[str]:
    """Name the folders of Python and its packages; of a checkout only the package itself."""
    package = Path(__file__).resolve().parents[2]
    root = package.parent
    imports = set(sys.path)
    if (root / "pyproject.toml").exists():
        imports.discard(str(root))
    homes = {sys.prefix, sys.base_prefix, sys.exec_prefix}
    return [
        str(package),
        *imports,
        *(f"{home}/{folder}" for home in homes for folder in ("lib", "lib64", "share")),
        *os.environ.get("LD_LIBRARY_PATH", "").split(":"),
    ]


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Leave root nothing but reading what belongs to others, within what it has."""
    header = struct.pack("=Ii", CAPABILITIES_V3, 0)
    had = ctypes.create_string_buffer(24)
    if libc.capget(header, had) == 0:
        first, *_ = struct.unpack("=6I", had.raw[:24])
        kept = first & KEPT
        libc.capset(header, struct.pack("=6I", kept, kept, 0, 0, 0, 0))
