"""A PostgreSQL server of our own, shared by the processes of one home until the last has left.

::

    with Postgres(home).start() as server:
        run(server.dsn)

``start`` is for synchronous code before the event loop runs. One concern per module: ``account``
(who the server runs as), ``programs`` (which PostgreSQL), ``place`` (where it lives), ``cluster``
(its data), ``postmaster`` (its process), ``locks`` (who waits for whom), ``use`` (who needs it),
``server`` (what one asks for), ``watch`` (who starts it again when it dies).
"""

from __future__ import annotations

from mediaq.embedded.server import Postgres, Server
from mediaq.embedded.watch import watched

__all__ = ["Postgres", "Server", "watched"]
