"""One use of a server, whose end stops the server if it was the last."""

from __future__ import annotations

import atexit
import os
from typing import TYPE_CHECKING

from mediaq.embedded import locks, postmaster
from mediaq.embedded.locks import Deadline
from mediaq.errors import Unavailable

if TYPE_CHECKING:
    from mediaq.embedded.place import Place

_PATIENCE = 60.0


class Use:
    """A shared lock, which the kernel gives back with the process if we do not.

    It is taken by a process that holds ``place.busy``; only such a one may find out that it was
    the last.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._process = os.getpid()
        self._lock: int | None = locks.open_private(place.users)
        if not locks.acquire(self._lock, shared=True):
            os.close(self._lock)
            msg = f"{place.users} is held by a process that does not go by our rules"
            raise TimeoutError(msg)
        atexit.register(self.end)

    def end(self) -> None:
        """End the use and stop the server when it was the last; the second call does nothing.

        Raises ``Unavailable`` when the server does not stop.
        """
        # A forked child has a copy of the lock, but no use of its own.
        if self._lock is None or os.getpid() != self._process:
            return
        try:
            with locks.alone(self._place.busy, Deadline(_PATIENCE)):
                self.end_alone()
        except OSError as failure:
            msg = f"PostgreSQL in {self._place.folder} could not be stopped: {failure}."
            raise Unavailable(msg) from failure
        finally:
            self.leave()

    def end_alone(self) -> None:
        """As ``end``, for one who holds ``place.busy`` already."""
        try:
            if self._lock is not None and locks.acquire(self._lock):
                postmaster.stop(self._place)
        finally:
            self.leave()

    def leave(self) -> None:
        """End the use without a look at the server."""
        lock, self._lock = self._lock, None
        if lock is not None:
            atexit.unregister(self.end)
            locks.give_back(lock)
