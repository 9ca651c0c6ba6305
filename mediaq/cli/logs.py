"""How the program tells what happens: structured logs on stderr."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from mediaq.settings import Settings


def set_up(read: Settings, *, level: str) -> None:
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
    # asyncpg tells every vain attempt to refill its pool with a traceback; we tell the loss once.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)
    # A client's malformed HTTP is answered with 400 and is no error of ours.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
