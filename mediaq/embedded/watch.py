"""A thread that starts a server again that has died, as long as somebody uses it here."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from mediaq.errors import MediaqError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mediaq.embedded.server import Server

LOOK_SECONDS = 1.0
"""How often the server is looked at."""

LONGEST_SECONDS = 30.0
"""Longest wait after a start in vain; it doubles until then."""

log = structlog.get_logger()


@contextmanager
def watched(server: Server) -> Iterator[None]:
    """Keep ``server`` alive for the length of the block."""
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(server, over), name="postgres", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        # A start under way is waited for: nobody else would stop what it started.
        thread.join()


def _watch(server: Server, over: threading.Event) -> None:
    wait = LOOK_SECONDS
    while not over.wait(wait):
        try:
            if server.revive():
                log.warning("postgres.restarted", place=str(server.place), port=server.port)
        except MediaqError as error:
            log.warning("postgres.dead", error=error.message)
            wait = min(wait * 2, LONGEST_SECONDS)
        else:
            wait = LOOK_SECONDS
