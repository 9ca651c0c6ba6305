"""What is broken here: a server of a test's own, the way to it, and a disk."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit, urlunsplit

import pytest
from pydantic import SecretStr

from mediaq import migrate
from mediaq.embedded import Postgres
from mediaq.embedded.server import Server
from mediaq.settings import Database
from tests.chaos import disks
from tests.conftest import SERVER_SETTINGS

_numbers = itertools.count(1)


@dataclass
class Breakable:
    """A server that can be stopped and started, with a migrated database."""

    home: Path
    _server: Server | None = None

    @property
    def database(self) -> Database:
        assert self._server is not None
        return Database(dsn=SecretStr(self._server.dsn), source="chaos")

    async def start(self) -> None:
        wish = Postgres(self.home, settings=SERVER_SETTINGS)
        self._server = await asyncio.to_thread(wish.start)

    async def stop(self) -> None:
        """Stop it as an operator does: connections are cut."""
        server, self._server = self._server, None
        if server is not None:
            await asyncio.to_thread(server.release)


@pytest.fixture
async def breakable(home: Path) -> AsyncIterator[Breakable]:
    server = Breakable(home / f"breakable-{next(_numbers)}")
    await server.start()
    try:
        await migrate.migrate(server.database, tell=lambda _: None)
        yield server
    finally:
        await server.stop()


@pytest.fixture
def small(home: Path) -> Iterator[Path]:
    """A folder on a small disk: one of the test's own or, in a container, its shared memory."""
    folder = home / f"small-{next(_numbers)}"
    folder.mkdir()
    with ExitStack() as stack:
        if disks.may_mount(folder):
            stack.enter_context(disks.small_disk(folder))
        elif disks.shared_memory_is_small():
            folder = Path(stack.enter_context(TemporaryDirectory(dir=disks.SHARED_MEMORY)))
        else:
            # The test runs elsewhere, see below.
            yield folder
            return
        folder.chmod(0o755)
        place = folder / "disk"
        place.mkdir()
        yield place


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run what needs a disk, where we may not mount one, in name spaces of its own."""
    folder = pyfuncitem.funcargs.get("small")
    if not isinstance(folder, Path) or folder.name == "disk":
        return None
    disks.elsewhere(pyfuncitem.nodeid)
    return True


@dataclass
class Proxy:
    """A way to the server that can stop passing bytes without closing anything."""

    database: Database
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def freeze(self) -> None:
        """From now on nothing passes on the connections of this moment; new ones work."""
        self._flowing.clear()
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def connected(
        self, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        flowing = self._flowing
        try:
            there, back = await asyncio.open_connection(host, port)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_pass(reader, back, flowing))
                    group.create_task(_pass(there, writer, flowing))
            finally:
                back.close()
        except* (OSError, EOFError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


async def _pass(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, flowing: asyncio.Event
) -> None:
    while data := await source.read(65536):
        await flowing.wait()
        sink.write(data)
        await sink.drain()
    # The end, too, does not pass a way that is cut.
    await flowing.wait()
    raise EOFError


@pytest.fixture
def proxied() -> Callable[[Database], object]:
    @asynccontextmanager
    async def opened(database: Database) -> AsyncIterator[Proxy]:
        parts = urlsplit(database.dsn.get_secret_value())
        assert parts.hostname is not None
        assert parts.port is not None
        host, port = parts.hostname, parts.port
        proxy: Proxy

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.CancelledError):
                await proxy.connected(host, port, reader, writer)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        through = server.sockets[0].getsockname()[1]
        login = parts.netloc.rpartition("@")[0]
        address = urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{through}"))
        proxy = Proxy(Database(dsn=SecretStr(address), source="proxy"))
        proxy._flowing.set()
        try:
            yield proxy
        finally:
            server.close()
            await proxy.end()

    return opened
