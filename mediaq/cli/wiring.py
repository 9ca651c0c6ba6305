"""What commands open and how it hangs together: settings, logs, database, API, worker."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg
import structlog
from pydantic import SecretStr

from mediaq import db, embedded, settings
from mediaq.cli import EXIT_INTERRUPTED, EXIT_SIGNAL, logs
from mediaq.errors import Unavailable
from mediaq.settings import Database, Settings

if TYPE_CHECKING:
    from mediaq.worker import Worker

T = TypeVar("T")

Service = Callable[[Settings, Database, asyncio.Event], Coroutine[Any, Any, None]]
"""The API or a worker: opens what it needs and serves until the event is set."""

log = structlog.get_logger()


@contextmanager
def opened(*, quiet: bool = False, **given: object) -> Iterator[tuple[Settings, Database]]:
    """Read the settings, set up logs, and find the database or start the embedded one.

    ``quiet`` is for commands that show what happens themselves: only errors are logged. Options of
    the command line that were ``given`` win over the environment. An empty text is none: a
    script's unset variable must not mean "all interfaces".
    """
    update = {key: value for key, value in given.items() if value is not None and value != ""}
    read = settings.read().model_copy(update=update)
    logs.set_up(read, level="error" if quiet else read.log_level)
    found = settings.database(os.environ)
    if found is not None:
        yield read, found
        return
    wish = embedded.Postgres(read.home, bin_dir=read.pg_bin_dir)
    with wish.start() as server, embedded.watched(server):
        file = server.place / "password"
        yield read, Database(dsn=SecretStr(server.dsn), source="embedded", password_file=file)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine; trouble with the database becomes one sentence."""
    try:
        return asyncio.run(main)
    except asyncio.CancelledError as stopped:
        # By the second signal; its number tells whoever sent it.
        sys.exit(EXIT_SIGNAL + stopped.args[0] if stopped.args else EXIT_INTERRUPTED)
    except (
        asyncpg.UndefinedTableError,
        asyncpg.UndefinedFunctionError,
        asyncpg.InvalidSchemaNameError,
        asyncpg.UndefinedColumnError,
    ):
        msg = "the database does not have this version's tables; run `mediaq migrate`"
        raise Unavailable(msg) from None
    except asyncpg.InsufficientPrivilegeError as error:
        msg = f"the database role may not do this: {error}"
        raise Unavailable(msg) from None
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        msg = f"the database refuses the login: {error}"
        raise Unavailable(msg) from None
    except asyncpg.InvalidCatalogNameError as error:
        msg = f"{error}; create it, or name another"
        raise Unavailable(msg) from None
    except db.CONNECTION_ERRORS as error:
        msg = f"the database cannot be reached: {error or type(error).__name__}"
        raise Unavailable(msg) from None
    except db.PASSING_ERRORS as error:
        msg = f"the database cannot do this now: {error}"
        raise Unavailable(msg) from None


@asynccontextmanager
async def small_pool(database: Database) -> AsyncIterator[db.Pool]:
    """Open what a short command needs."""
    async with db.pool(database, name="mediaq cli", size=1, overflow=1) as pool:
        yield pool


def stop_on_signals() -> asyncio.Event:
    """Make an event that SIGTERM, SIGHUP and SIGINT set; the second one stops now.

    Then the task that called this is cancelled, and with it all that runs; the command ends with
    the exit code of a shell's command that the signal ended.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()

    def ask(number: signal.Signals) -> None:
        log.info("stop.asked", signal=number.name, now=stop.is_set())
        if stop.is_set() and main is not None:
            main.cancel(int(number))
        stop.set()

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        loop.add_signal_handler(number, ask, number)
    return stop


async def together(*mains: Coroutine[Any, Any, None]) -> None:
    """Run coroutines side by side; the first failure ends all and is raised as it was."""
    try:
        async with asyncio.TaskGroup() as group:
            for main in mains:
                group.create_task(main)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def beside(main: Coroutine[Any, Any, None], *sides: Coroutine[Any, Any, None]) -> None:
    """Run ``main`` with endless ``sides`` beside it, which end with it; a failing side ends all."""

    async def all_of_it() -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(side) for side in sides]
            await main
            for task in tasks:
                task.cancel()

    await together(all_of_it())


async def serve(name: str, read: Settings, database: Database, *services: Service) -> None:
    """Run services side by side until a signal; the log tells the end under the command's name."""
    stop = stop_on_signals()
    await together(*(service(read, database, stop) for service in services))
    ended = f"{name}.stopped"
    log.info(ended)


async def serve_api(
    read: Settings,
    database: Database,
    stop: asyncio.Event,
    ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Open what the API needs and serve until ``stop`` is set; ``ready`` hears its URL."""
    from mediaq import events
    from mediaq.api import app
    from mediaq.api.context import Context

    def told(url: str) -> None:
        log.info("api.ready", url=url, database=database.address, source=database.source)
        ready(url)

    async with (
        db.pool(
            database, name="mediaq api", size=read.pool_size, overflow=read.max_overflow
        ) as pool,
        events.bells(database) as bells,
    ):
        await app.serve(
            Context(pool, bells, read.max_streams),
            host=read.host,
            port=read.port,
            stop=stop,
            ready=told,
        )


async def serve_worker(
    read: Settings,
    database: Database,
    stop: asyncio.Event,
    ready: Callable[[Worker], None] = lambda _: None,
) -> None:
    """Open what a worker needs and run jobs until ``stop`` is set; ``ready`` hears the worker."""
    from mediaq import delivery, queue, recovery, retention
    from mediaq.media.local import LocalMedia, bounds
    from mediaq.removal import REMOVE_FILES, Removal
    from mediaq.storage.local import LocalStorage
    from mediaq.worker import ANALYSE, LOCK_SECONDS, Worker

    storage = LocalStorage(read.storage)
    storage.prepare()
    signers = delivery.signers(read)
    media = LocalMedia(read.decode_timeout, bounds(read))
    async with db.pool(
        database,
        name="mediaq worker",
        size=read.pool_size,
        overflow=read.max_overflow,
        search_path=queue.SEARCH_PATH,
        lock_timeout=LOCK_SECONDS,
    ) as pool:
        me = await recovery.register(pool)
        worker = Worker(read, pool, storage, media, me)
        keeper = recovery.Keeper(pool, me, read.heartbeat, read.stalled_after)
        removal = Removal(pool, storage)
        tasks: dict[str, queue.Task] = {
            ANALYSE: worker.attempt,
            delivery.DELIVER: delivery.Delivery(read, pool, signers).deliver,
            REMOVE_FILES: removal.remove_files,
        }
        log.info(
            "worker.ready",
            queues=read.queues or "all",
            concurrency=read.concurrency,
            database=database.address,
            source=database.source,
            storage=str(read.storage),
        )
        ready(worker)
        try:
            await beside(
                queue.serve(
                    database,
                    pool,
                    tasks,
                    queues=read.queues,
                    concurrency=read.concurrency,
                    drain_timeout=read.drain_timeout,
                    life=queue.Life(read.heartbeat, read.stalled_after),
                    stop=stop,
                ),
                keeper.run(worker.look_after),
                worker.watch(database),
                removal.keep_swept(read.attempt_timeout),
                retention.keep_clean(pool, retention.keep(read)),
            )
        finally:
            await worker.leave()
