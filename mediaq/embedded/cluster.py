"""The making of a cluster: complete with its password, or not there at all."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mediaq.embedded.locks import open_private
from mediaq.errors import Rejected, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mediaq.embedded.account import Account
    from mediaq.embedded.place import Place
    from mediaq.embedded.programs import Programs

USER = "mediaq"
DATABASE = "af-memory"

_DRAFT = "draft-"
_FORM = (
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--no-locale",
    "--data-checksums",
    "--no-instructions",
    "--no-sync",
)


def create(place: Place, programs: Programs, account: Account, *, sync: bool) -> None:
    """Make the cluster of ``place`` with the role ``mediaq`` and the database ``af-memory``.

    It is made under another name, written to disk if ``sync``, then renamed: a process that is
    killed on the way leaves rubbish, which the next one removes, but never half a cluster.
    Raises ``Unavailable`` with PostgreSQL's own words.
    """
    for rubbish in place.folder.glob(f"{_DRAFT}*"):
        # An initdb that outlived its process may still be adding to it: it ends by itself then.
        shutil.rmtree(rubbish, ignore_errors=True)
    if place.data.exists():
        msg = f"{place.data} exists but holds no PostgreSQL data: move it away or restore it."
        raise Rejected(msg)
    with tempfile.TemporaryDirectory(
        prefix=_DRAFT, dir=place.folder, ignore_cleanup_errors=True
    ) as made:
        draft = Path(made)
        data, kept, given = draft / "data", draft / "password", draft / "password.given"
        password = secrets.token_urlsafe(24)
        _write(kept, password)
        _write(given, password)
        account.own(given)
        account.own(draft)
        _run(account, [programs.initdb, "-D", data, "-U", USER, f"--pwfile={given}", *_FORM])
        # The only way to run SQL without a client library, and before anybody can connect.
        single = ["--single", "-F", "-c", "exit_on_error=on", "-D", str(data), "postgres"]
        _run(account, [programs.postgres, *single], feed=f'CREATE DATABASE "{DATABASE}"\n')
        if sync:
            _run(account, [programs.initdb, "--sync-only", "-D", data])
        # The password first: without data beside it, it means nothing and is replaced.
        kept.rename(place.password)
        data.rename(place.data)
        if sync:
            _write_names(place.folder)


def _run(account: Account, command: Sequence[str | Path], feed: str = "") -> None:
    ended = account.run(command, feed)
    if ended.returncode != 0:
        lines = [line for line in ended.stderr.splitlines() if line.strip()][-10:]
        decisive = [line for line in lines if "error:" in line or "FATAL:" in line]
        said = "; ".join(decisive or lines) or f"exit status {ended.returncode}"
        msg = f"PostgreSQL's data could not be made: {said}"
        raise Unavailable(msg, log="\n".join(lines))


def _write(path: Path, text: str) -> None:
    with os.fdopen(open_private(path, os.O_WRONLY | os.O_EXCL), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _write_names(folder: Path) -> None:
    """Bring the names in ``folder`` to disk, so that a rename outlives a power cut."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
