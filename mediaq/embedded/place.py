"""The folder of one embedded server, with its data, password, locks, log."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mediaq.embedded.account import Account, choose, owner
from mediaq.embedded.locks import open_private
from mediaq.errors import Rejected

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Launch:
    """The port a server was started on, with the version of its programs."""

    port: int
    version: str


@dataclass(frozen=True, slots=True)
class Place:
    """Names inside ``folder``, which belongs to us; only ``data`` belongs to the server's user."""

    folder: Path

    @property
    def data(self) -> Path:
        """The cluster, as ``initdb`` made it."""
        return self.folder / "data"

    @property
    def password(self) -> Path:
        """The password of the cluster's user, readable by us only."""
        return self.folder / "password"

    @property
    def log(self) -> Path:
        """What the server writes to stderr."""
        return self.folder / "server.log"

    @property
    def busy(self) -> Path:
        """Locked while one process starts or stops the server."""
        return self.folder / "busy.lock"

    @property
    def users(self) -> Path:
        """Locked, shared, by every process that uses the server."""
        return self.folder / "users.lock"

    @property
    def alive(self) -> Path:
        """Locked by the server's own processes as long as one of them lives."""
        return self.folder / "alive.lock"

    @property
    def major(self) -> int | None:
        """The major version that the data was made by, if there is data.

        Raises ``Rejected`` when the data does not tell.
        """
        try:
            written = (self.data / "PG_VERSION").read_text()
        except FileNotFoundError:
            return None
        try:
            return int(written)
        except ValueError:
            msg = f"{self.data} holds no PostgreSQL data that is known here: {written!r}."
            raise Rejected(msg) from None

    def remembered(self) -> Launch | None:
        """Return how the server was started last, if that is known."""
        try:
            found = json.loads((self.folder / "launch.json").read_text())
            return Launch(int(found["port"]), str(found["version"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def remember(self, launch: Launch) -> None:
        """Keep how the server is started for the next time."""
        draft = self.folder / "launch.json.new"
        with os.fdopen(open_private(draft, os.O_WRONLY | os.O_TRUNC), "w") as file:
            json.dump({"port": launch.port, "version": launch.version}, file)
        draft.replace(self.folder / "launch.json")


def settle(home: Path, shared: Path, user: str | None) -> Place:
    """Return where the server of ``home`` lives; the folder is made.

    Normally ``home/postgres``. When we are root and the server's user cannot pass through
    ``home``, a folder of its own below ``shared``: permissions of existing folders are never
    changed. Existing data is always found again.
    """
    # One spelling for all processes: the path is how a server is told from others.
    home = home.expanduser().resolve()
    inside = Place(home / "postgres")
    outside = Place(shared.resolve() / hashlib.sha256(os.fsencode(home)).hexdigest()[:12])
    for place in (inside, outside) if os.geteuid() == 0 else (inside,):
        if place.major is not None:
            return place
    account = choose(user)
    mode = 0o711 if account.switch else 0o700
    home.mkdir(mode=mode, parents=True, exist_ok=True)
    if not account.switch or account.reaches(home):
        _make(inside.folder, mode)
        return inside
    own_folder(own_folder(shared, mode=0o755) / outside.folder.name, mode=mode)
    return outside


def runner(place: Place, user: str | None) -> Account:
    """Return who runs the server of ``place``: the owner of existing data, else ``choose(user)``.

    Raises ``Rejected`` when that cannot be done from here.
    """
    return choose(user) if place.major is None else owner(place.data)


def own_folder(folder: Path, *, mode: int) -> Path:
    """Return ``folder``, made if missing, after making sure that nobody else can write to it.

    Raises ``Rejected`` when somebody else planted it.
    """
    _make(folder, mode)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        msg = f"{folder} must be a folder that only user {os.geteuid()} can write to."
        raise Rejected(msg)
    return folder


def _make(folder: Path, mode: int) -> None:
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        # It keeps the permissions that its owner gave it.
        return
    # The mode counts whatever the umask is.
    folder.chmod(mode)
