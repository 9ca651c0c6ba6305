"""The operating system user that the server runs as, because PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mediaq.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_UNPRIVILEGED = ("postgres", "nobody")
_KEPT_VARIABLES = ("PATH", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class Account:
    """A user with its main group; ``switch`` when we are root and have to become it."""

    uid: int
    gid: int
    switch: bool

    def run(
        self, command: Sequence[str | Path], feed: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run ``command`` as this user with ``feed`` on its stdin, and tell how it ended.

        Raises ``OSError`` when it cannot be executed.
        """
        return subprocess.run(
            command,
            input=feed,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd="/",
            env=environment(),
            user=self.uid if self.switch else None,
            group=self.gid if self.switch else None,
            extra_groups=[] if self.switch else None,
            umask=0o077,
        )

    def launch(self, command: Sequence[str | Path], *, log: int, keep: int) -> None:
        """Leave ``command`` running in its own session, with only the files ``log`` and ``keep``.

        The shell starts it in the background and ends: so it is nobody's child here, leaves no
        zombie behind, and a Ctrl-C at our terminal does not reach it.
        """
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[keep],
            check=True,
            cwd="/",
            env=environment(),
            user=self.uid if self.switch else None,
            group=self.gid if self.switch else None,
            extra_groups=[] if self.switch else None,
            umask=0o077,
            start_new_session=True,
        )

    def reaches(self, folder: Path) -> bool:
        """Whether this user may pass through ``folder``; the system is asked, so ACLs count."""
        test = ["/bin/sh", "-c", 'test -d "$1" && test -x "$1"', "sh", str(folder)]
        return self.run(test).returncode == 0

    def own(self, path: Path) -> None:
        """Give ``path``, which we just made, to this user."""
        if self.switch:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def environment() -> Mapping[str, str]:
    """Return what the server may know: none of our secrets, none of a user's ``PG*`` settings."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    # Its messages are read by us, before and after it has read its own settings.
    return {**kept, "LC_ALL": "C"}


def ourselves() -> Account:
    """Return the user that this process already is."""
    return Account(os.geteuid(), os.getegid(), switch=False)


def choose(name: str | None = None) -> Account:
    """Return ourselves or, for root, the user ``name``, else ``postgres``, else ``nobody``.

    Raises ``Rejected`` when root has nobody to become.
    """
    if os.geteuid() != 0:
        return ourselves()
    for candidate in (name,) if name else _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(candidate)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid, switch=True)
    wanted = name or " or ".join(_UNPRIVILEGED)
    msg = f"PostgreSQL does not run as root, and there is no unprivileged user {wanted} here."
    raise Rejected(msg)


def owner(path: Path) -> Account:
    """Return who owns ``path``: only its owner can run a server on existing data.

    Raises ``Rejected`` when that is neither us nor anybody we could become.
    """
    found = path.stat()
    if found.st_uid == 0 or os.geteuid() not in {0, found.st_uid}:
        msg = f"{path} belongs to user {found.st_uid}, so no PostgreSQL can be run on it from here."
        raise Rejected(msg)
    if os.geteuid() == 0:
        return Account(found.st_uid, found.st_gid, switch=True)
    return ourselves()
