"""What commands open and how it hangs together: settings, logs, database, API, worker."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg
import structlog
from pydantic import SecretStr

from mediaq import db, embedded, settings
from mediaq.errors import Unavailable
from mediaq.settings import Database, Settings

if TYPE_CHECKING:
    from mediaq.worker import Worker

T = TypeVar("T")


@contextmanager
def opened(*, quiet: bool = False) -> Iterator[tuple[Settings, Database]]:
    """Read the settings, set up logs, and find the database or start the embedded one.

    ``quiet`` is for commands that show what happens themselves: only errors are logged.
    """
    read = settings.read()
    set_up_logs(read, level="error" if quiet else read.log_level)
    found = settings.database(os.environ)
    if found is not None:
        yield read, found
        return
    with embedded.Postgres(read.home, bin_dir=read.pg_bin_dir).start() as server:
        yield (
            read,
            Database(
                dsn=SecretStr(server.dsn),
                source="embedded",
                password_file=server.place / "password",
            ),
        )


def override(read: Settings, given: Mapping[str, object]) -> Settings:
    """Let options of the command line that were given win over the environment.

    An empty text is none: a script's unset variable must not mean "all interfaces".
    """
    update = {key: value for key, value in given.items() if value is not None and value != ""}
    return read.model_copy(update=update)


def set_up_logs(read: Settings, *, level: str) -> None:
    """Send structured logs, and those of libraries, to stderr: text on a terminal, else JSON."""
    text = read.log_format == "text" or (read.log_format == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(allow=()),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Never the values of local variables: a DSN with its password is among them.
    plain = structlog.dev.plain_traceback
    render: list[Any] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
        if text
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # Procrastinate tells every start and end of a job, which the worker tells better.
    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    # A client's malformed HTTP is answered with 400 and is no error of ours.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine; trouble with the database becomes one sentence."""
    try:
        return asyncio.run(main)
    except asyncio.CancelledError:
        # By the second signal, which is what Ctrl-C is elsewhere.
        raise KeyboardInterrupt from None
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
    except (*db.CONNECTION_ERRORS, TimeoutError) as error:
        msg = f"the database cannot be reached: {error or type(error).__name__}"
        raise Unavailable(msg) from None


@asynccontextmanager
async def small_pool(database: Database) -> AsyncIterator[db.Pool]:
    """Open what a short command needs."""
    async with db.pool(database, name="mediaq cli", size=1, overflow=1) as pool:
        yield pool


def stop_on_signals() -> asyncio.Event:
    """Make an event that SIGTERM, SIGHUP and SIGINT set; the second one stops now.

    Then the task that called this is cancelled, and with it all that runs; the command ends as
    an interrupted one.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()

    def ask() -> None:
        if stop.is_set() and main is not None:
            main.cancel()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        loop.add_signal_handler(number, ask)
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


async def serve_api(
    read: Settings, database: Database, stop: asyncio.Event, ready: Callable[[str], None]
) -> None:
    """Open what the API needs and serve until ``stop`` is set."""
    from mediaq import events
    from mediaq.api import app
    from mediaq.api.context import Context

    async with (
        db.pool(
            database, name="mediaq api", size=read.pool_size, overflow=read.max_overflow
        ) as pool,
        events.bells(database) as bells,
    ):
        await app.serve(
            Context(pool, bells), host=read.host, port=read.port, stop=stop, ready=ready
        )


async def serve_worker(
    read: Settings, database: Database, stop: asyncio.Event, ready: Callable[[Worker], None]
) -> None:
    """Open what a worker needs and run jobs until ``stop`` is set."""
    from mediaq import delivery, queue, recovery, retention
    from mediaq.media.local import LocalMedia, bounds
    from mediaq.removal import REMOVE_FILES, Removal
    from mediaq.storage.local import LocalStorage
    from mediaq.worker import ANALYSE, Worker

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
        ready(worker)
        await beside(
            queue.serve(
                database,
                pool,
                tasks,
                queues=read.queues,
                concurrency=read.concurrency,
                drain_timeout=read.drain_timeout,
                heartbeat=read.heartbeat,
                stop=stop,
            ),
            keeper.run(worker.end_superseded),
            worker.watch(database),
            removal.keep_swept(read.attempt_timeout),
            retention.keep_clean(pool, retention.keep(read)),
        )
        # Where the database is away, the sweep of others finds out by itself.
        with suppress(*db.CONNECTION_ERRORS, TimeoutError):
            await recovery.unregister(pool, me)
