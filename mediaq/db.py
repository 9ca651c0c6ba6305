"""The connection pool, its codecs, and the named queries."""

from __future__ import annotations

import asyncio
import functools
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib import resources
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Executor: TypeAlias = Connection | Pool

from mediaq.settings import Database

CONNECT_TIMEOUT = 10.0
"""Seconds until an attempt to connect is given up."""

COMMAND_TIMEOUT = 30.0
"""Seconds until a statement is given up, and with it a connection whose packets vanish."""

CLOSE_TIMEOUT = 10.0
"""Seconds until a pool that is closed drops what has not ended by then."""

CONNECTION_ERRORS = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    # The server starts, stops, has crashed or is full.
    asyncpg.AdminShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)

PASSING_ERRORS = (
    *CONNECTION_ERRORS,
    # The server's disk or memory is full.
    asyncpg.InsufficientResourcesError,
    # Someone's open transaction holds a row.
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    # A standby that is not promoted yet, or a server whose operator stopped all writing.
    asyncpg.ReadOnlySQLTransactionError,
)
"""Trouble that passes without a change here: the same statement succeeds later."""

KEEPALIVES = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
"""With these the server, too, lets go of a session whose client vanished."""

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@functools.cache
def queries() -> dict[str, str]:
    """Read ``queries.sql``: the text of each query by its name."""
    return named((resources.files("mediaq") / "queries.sql").read_text(encoding="utf-8"))


def named(text: str) -> dict[str, str]:
    """Take a text of queries apart at its ``-- name:`` lines."""
    parts = _NAME.split(text)[1:]
    if len(set(parts[::2])) < len(parts[::2]):
        msg = "two queries have the same name"
        raise ValueError(msg)
    return dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))


@asynccontextmanager
async def pool(
    database: Database,
    *,
    name: str,
    size: int = 5,
    overflow: int = 10,
    search_path: str = "",
    lock_timeout: float = 0,
) -> AsyncIterator[Pool]:
    """Open a pool of ``size`` to ``size + overflow`` connections, closed at the end of the block.

    ``name`` is what ``pg_stat_activity`` shows. ``search_path`` is only for Procrastinate, whose
    functions name their tables without a schema; every query of mediaq names it. A statement waits
    ``lock_timeout`` seconds for a row that another transaction holds; 0 is as long as it takes.
    """
    opened = asyncpg.create_pool(
        database.dsn.get_secret_value(),
        min_size=size,
        max_size=size + overflow,
        timeout=CONNECT_TIMEOUT,
        command_timeout=COMMAND_TIMEOUT,
        init=set_codecs,
        reset=_leave_as_is,
        server_settings={"application_name": name}
        | ({"lock_timeout": f"{lock_timeout * 1000:.0f}"} if lock_timeout else {})
        | ({"search_path": search_path} if search_path else {}),
    )
    await opened
    try:
        yield opened
    finally:
        # A goodbye waits for an answer, which a connection whose packets vanish never gives.
        with suppress(TimeoutError):
            await asyncio.wait_for(opened.close(), CLOSE_TIMEOUT)


def keep_alive(connection: Connection) -> None:
    """Let the kernel ask a silent peer for a sign of life, so that a gateway keeps the way open.

    asyncpg sets no socket options and offers no door to its socket but this one.
    """
    transport = getattr(connection, "_transport", None)
    found = transport.get_extra_info("socket") if transport is not None else None
    if found is None or found.family == socket.AF_UNIX:
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        # Not every system has all of them.
        if hasattr(socket, name):
            found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def set_codecs(connection: Connection) -> None:
    """Let json and jsonb travel as Python values."""
    # asyncpg refuses a text codec inside a composite type, which Procrastinate's jobs are.
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        encoder=lambda value: b"\x01" + json.dumps(value).encode(),
        decoder=lambda data: json.loads(data[1:]),
    )
    await connection.set_type_codec(
        "json", schema="pg_catalog", encoder=json.dumps, decoder=json.loads
    )


async def _leave_as_is(connection: Connection) -> None:
    """Skip the reset query: no statement of ours changes a connection's state."""
