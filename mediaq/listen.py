"""A LISTEN connection that notices a dead peer, comes back, and says that bells may be missing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from typing import NoReturn

import asyncpg
import structlog

from mediaq import db
from mediaq.settings import Database

PING_SECONDS = 5.0
"""How long a silent connection is trusted; a ping that takes as long means that it is dead."""

RETRY_SECONDS = (0.1, 5.0)
"""First and longest wait before connecting again; it doubles in between, with jitter."""

log = structlog.get_logger()


async def listen(
    database: Database,
    channels: Iterable[str],
    *,
    on_bell: Callable[[str, str], None],
    on_connect: Callable[[], None],
    name: str = "mediaq listen",
) -> None:
    """Call ``on_bell(channel, payload)`` for every NOTIFY, for ever.

    ``on_connect`` is called after each connect, the first one included: bells that rang before
    it were not heard, so whoever follows reads the table again.
    """
    wanted = list(channels)
    wait = RETRY_SECONDS[0]
    lost = False
    while True:
        connection: db.Connection | None = None
        try:
            connection = await asyncpg.connect(
                database.dsn.get_secret_value(),
                timeout=db.CONNECT_TIMEOUT,
                server_settings={"application_name": name, **db.KEEPALIVES},
            )
            db.keep_alive(connection)
            closed = asyncio.Event()
            connection.add_termination_listener(lambda _connection, event=closed: event.set())
            for channel in wanted:
                await connection.add_listener(
                    channel, lambda _connection, _pid, heard, payload: on_bell(heard, str(payload))
                )
            if lost:
                log.info("listener.recovered", channels=wanted)
            lost, wait = False, RETRY_SECONDS[0]
            on_connect()
            await _ping_until(closed, connection)
        except (*db.CONNECTION_ERRORS, asyncpg.PostgresError) as error:
            if not lost:
                log.warning("listener.lost", channels=wanted, error=str(error) or repr(error))
            lost = True
        finally:
            if connection is not None:
                # close() would wait for an answer that a dead peer never gives.
                connection.terminate()
        await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret
        wait = min(wait * 2, RETRY_SECONDS[1])


async def _ping_until(closed: asyncio.Event, connection: db.Connection) -> NoReturn:
    """Ask for a sign of life now and then; raise once there is none.

    A connection whose packets vanish stays silent and looks open: only a question finds out.
    """
    while True:
        try:
            await asyncio.wait_for(closed.wait(), PING_SECONDS)
        except TimeoutError:
            await connection.fetchval(db.queries()["ping"], timeout=PING_SECONDS)
        else:
            msg = "the server closed the connection"
            raise ConnectionResetError(msg)
