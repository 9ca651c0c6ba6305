"""The server's process, from its start to its end."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mediaq.embedded import locks
from mediaq.embedded.locks import Deadline
from mediaq.embedded.place import Launch, Place
from mediaq.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mediaq.embedded.account import Account
    from mediaq.embedded.programs import Programs

HOST = "127.0.0.1"

_SMALL_MACHINE = {
    "max_connections": "200",
    "shared_buffers": "128MB",
    "jit": "off",
    # A parallel query needs more than the 64 MB of /dev/shm that containers get.
    "max_parallel_workers_per_gather": "0",
    "cluster_name": "mediaq",
    # The default begins with "$user". Our role bears the name of a schema, so that tables a script
    # creates would land there, and in front of the four that everybody means.
    "search_path": "public",
}
_LOG_LIMIT = 16 * 1024 * 1024
_QUOTED_BYTES = 8192
_PREFIX = re.compile(r"^.*? \[\d+\] ")
_UNIMPORTANT = re.compile(r"^LOG:  (starting|listening|database system|shutting down|checkpoint)")


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A living server: its process, the port it listens on, whether it takes connections yet."""

    pid: int
    port: int
    ready: bool


def find(data: Path) -> Postmaster | None:
    """Return the living server on ``data``, as ``postmaster.pid`` and the process list agree.

    A file whose process is gone, a zombie, or somebody else's by now counts for nothing.
    Format: PostgreSQL's ``pidfile.h``.
    """
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        pid, port = int(lines[0]), int(lines[3])
    except (FileNotFoundError, IndexError, ValueError):
        return None
    program, found, _ = f"{_command(pid)} ".partition(f" -D {data} ")
    if not found or not program.endswith(("postgres", "postmaster")):
        return None
    return Postmaster(pid, port, ready="ready" in (line.strip() for line in lines[7:]))


def _command(pid: int) -> str:
    """Return the command line of a process; that of a zombie is empty or in brackets."""
    if Path("/proc/self/cmdline").exists():
        try:
            raw = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return ""
        return os.fsdecode(raw.replace(b"\0", b" ")).strip()
    asked = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def wait(place: Place, deadline: Deadline) -> Postmaster | None:
    """Return the server as soon as it takes connections, or ``None`` once there is none.

    Raises ``Unavailable`` at the deadline; the server is left alone, since it may be recovering.
    """
    while True:
        found = find(place.data)
        if found and found.ready:
            return found
        if found is None and locks.is_free(place.alive):
            return None
        if deadline.pause():
            continue
        if found is None:
            msg = (
                f"PostgreSQL in {place.folder} is still in use by processes that are not seen from "
                "here (a server in another container?)."
            )
            raise Unavailable(msg)
        msg = f"PostgreSQL is not ready in time; {place.log} says: {_words(place.log)}"
        raise Unavailable(msg, log=_tail(place.log))


def launch(
    place: Place,
    programs: Programs,
    account: Account,
    settings: Mapping[str, str],
    deadline: Deadline,
) -> Postmaster:
    """Start the server of ``place``, of which no process lives, and return it when it is ready.

    Without a ``port`` in ``settings`` the last one is used again if it is free. Raises
    ``Unavailable`` with the log's words when the server ends or takes too long.
    """
    last = place.remembered()
    while True:
        port = int(settings.get("port") or _free_port(last))
        place.remember(Launch(port, programs.version))
        begin = _spawn(place, programs, account, {**settings, "port": str(port)})
        found = wait(place, deadline)
        if found:
            return found
        words = _words(place.log, begin)
        # Somebody may take the port between our look and the server's.
        if "port" in settings or "Address already in use" not in words or not deadline.pause():
            msg = f"PostgreSQL ended at its start; {place.log} says: {words}"
            raise Unavailable(msg, log=_tail(place.log, begin))
        last = None


def _spawn(place: Place, programs: Programs, account: Account, settings: Mapping[str, str]) -> int:
    """Start the server with its lock; returns where in the log its words begin."""
    fixed = {"listen_addresses": HOST, "unix_socket_directories": ""}
    values = {**_SMALL_MACHINE, **settings, **fixed}
    options = [part for name, value in values.items() for part in ("-c", f"{name}={value}")]
    if place.log.exists() and place.log.stat().st_size > _LOG_LIMIT:
        place.log.replace(place.log.with_name("server.log.1"))
    alive = locks.open_private(place.alive)
    log = locks.open_private(place.log, os.O_WRONLY | os.O_APPEND)
    try:
        if not locks.acquire(alive):
            msg = f"PostgreSQL in {place.folder} was started by somebody else meanwhile."
            raise Unavailable(msg)
        # No process of the server lives, whoever has the number in this file by now.
        (place.data / "postmaster.pid").unlink(missing_ok=True)
        begin = os.fstat(log).st_size
        # The lock goes with the open file to the server and to all its children, so that it is
        # free again exactly when the last of them is gone.
        account.launch([programs.postgres, "-D", place.data, *options], log=log, keep=alive)
    finally:
        os.close(alive)
        os.close(log)
    return begin


def _tail(log: Path, begin: int = 0) -> str:
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(begin, size - _QUOTED_BYTES))
        return file.read().decode(errors="replace").strip()


def _words(log: Path, begin: int = 0) -> str:
    """Return what the last lines of the log say, without times and routine."""
    lines = [_PREFIX.sub("", line) for line in _tail(log, begin).splitlines()[-10:]]
    said = [line.strip() for line in lines if not _UNIMPORTANT.match(line)]
    return "; ".join(said or lines) or "nothing"


def stop(place: Place, patience: float = 30) -> None:
    """End the server of ``place``: connections are closed, data is written, then it is gone.

    One that has not ended after ``patience`` seconds is told to end without writing, and recovers
    at its next start. Raises ``Unavailable`` when even that takes as long.
    """
    for number in (signal.SIGINT, signal.SIGQUIT):
        found = find(place.data)
        if found is None:
            return
        try:
            os.kill(found.pid, number)
        except ProcessLookupError:
            return
        deadline = Deadline(patience)
        while find(place.data) or not locks.is_free(place.alive):
            if not deadline.pause():
                break
        else:
            return
    msg = f"PostgreSQL in {place.folder} does not stop."
    raise Unavailable(msg)


def _free_port(last: Launch | None) -> int:
    """Return the port used last if it can be had, else any free one."""
    if last and _is_free(last.port):
        return last.port
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As PostgreSQL does: connections that linger from the last run do not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as failure:
            if failure.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
        return True
