"""What one asks for, a server for a home, with what one gets."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mediaq.embedded import cluster, locks, postmaster, programs
from mediaq.embedded.cluster import DATABASE, USER
from mediaq.embedded.locks import Deadline
from mediaq.embedded.place import Place, runner, settle
from mediaq.embedded.postmaster import HOST, Postmaster
from mediaq.embedded.use import Use
from mediaq.errors import Rejected, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType


@dataclass(frozen=True, slots=True)
class Postgres:
    """The wish for the server of ``home``.

    ``bin_dir``: the only folder in which PostgreSQL's programs are looked for.
    ``user``: whom root becomes to run it, else ``postgres``, else ``nobody``.
    ``port``: the port a new server must get, else the last one, else any.
    ``settings``: more of ``postgresql.conf`` for a new server; they win over ours, except where
    it listens.
    ``timeout``: seconds that a start may take.
    ``shared``: where root keeps what the server's user could not reach in ``home`` or a virtualenv.
    """

    home: Path
    _: KW_ONLY
    bin_dir: Path | None = None
    user: str | None = None
    port: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 60.0
    shared: Path = Path("/var/lib/mediaq")

    def start(self) -> Server:
        """Return the running server, started if need be, and count as one of its users.

        Raises ``Rejected`` when it cannot work here (no programs, data of another version or
        user), ``Unavailable`` when it failed this time (disk full, port taken, too slow).
        """
        deadline = Deadline(self.timeout)
        try:
            place = settle(self.home, self.shared, self.user)
            with locks.alone(place.busy, deadline):
                use = Use(place)
                try:
                    return _server(self, place, self.running(place, deadline), use)
                except Unavailable:
                    use.leave()
                    raise
                except BaseException:
                    # A Ctrl-C as well: nobody would stop what we have started.
                    use.end_alone()
                    raise
        except OSError as failure:
            msg = f"PostgreSQL for {self.home} could not be started: {failure}."
            raise Unavailable(msg) from failure

    def running(self, place: Place, deadline: Deadline) -> Postmaster:
        """Return the server that runs, or one that is started now; ``place.busy`` must be held."""
        found = postmaster.wait(place, deadline)
        if found:
            return found
        account = runner(place, self.user)
        chosen = programs.pick(account, named=self.bin_dir, major=place.major, shared=self.shared)
        if place.major is None:
            sync = self.settings.get("fsync") != "off"
            cluster.create(place, chosen, account, sync=sync)
        settings = {**self.settings, "port": str(self.port)} if self.port else self.settings
        return postmaster.launch(place, chosen, account, settings, deadline)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server that this process uses; ``release`` it, or leave its ``with`` block.

    ``dsn`` holds the password. ``place`` is the folder of its data, password file, log.
    """

    dsn: str = field(repr=False)
    host: str
    port: int
    user: str
    database: str
    version: str
    pid: int
    place: Path
    _use: Use = field(repr=False, compare=False)
    _wish: Postgres = field(repr=False, compare=False)

    def revive(self) -> bool:
        """Start the server again, on the same port, if it has died, and return whether it had.

        Raises ``Unavailable`` when it does not start.
        """
        place = Place(self.place)
        if postmaster.find(place.data) is not None:
            return False
        deadline = Deadline(self._wish.timeout)
        try:
            with locks.alone(place.busy, deadline):
                # Another of its users may have been faster.
                if postmaster.find(place.data) is not None:
                    return False
                replace(self._wish, port=self.port).running(place, deadline)
        except OSError as failure:
            msg = f"PostgreSQL in {self.place} could not be started again: {failure}."
            raise Unavailable(msg) from failure
        return True

    def release(self) -> None:
        """Stop using the server, and stop it if nobody else uses it; the second call does nothing.

        Raises ``Unavailable`` when it does not stop.
        """
        self._use.end()

    def __enter__(self) -> Self:
        """Return the server itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release the server."""
        self.release()


def _server(wish: Postgres, place: Place, running: Postmaster, use: Use) -> Server:
    """Return what a user of the server in ``place`` needs to know."""
    try:
        password = place.password.read_text()
    except FileNotFoundError:
        msg = f"The password of the server is lost: put it back into {place.password}."
        raise Rejected(msg) from None
    last = place.remembered()
    # Without sslmode, drivers look for keys in the home folder first, which may be out of reach.
    where = f"{HOST}:{running.port}/{DATABASE}?sslmode=disable"
    return Server(
        dsn=f"postgresql://{USER}:{password}@{where}",
        host=HOST,
        port=running.port,
        user=USER,
        database=DATABASE,
        version=last.version if last else str(place.major),
        pid=running.pid,
        place=place.folder,
        _use=use,
        _wish=wish,
    )
