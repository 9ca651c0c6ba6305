"""Errors as problem+json (RFC 9457), one shape for all of them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import asyncpg
import structlog
from aiohttp import web
from pydantic import BaseModel, ValidationError

from mediaq import db
from mediaq.errors import Rejected, Unavailable

RETRY_SECONDS = 5
"""What ``Retry-After`` says while the database is away."""

LONGEST = 100
"""Longest name of a client's that is repeated."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger()


class Problem(Exception):
    """An answer other than success; ``detail`` is one sentence that says what would be right."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers

    def response(self) -> web.Response:
        """Write the problem as a response."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = list(self.errors)
        return web.Response(
            status=self.status.value,
            body=json.dumps(body).encode(),
            content_type="application/problem+json",
            headers=self.headers,
        )


def invalid(
    error: ValidationError, model: type[BaseModel], *, place: str, spelt: Mapping[str, str]
) -> Problem:
    """Turn a failed validation into a problem that points at each field (RFC 6901).

    ``spelt`` tells which fields the client spelt in another way.
    """
    errors = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        path = [str(part) for part in item["loc"]]
        detail = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            detail = "unknown; " + _near(path[-1][:LONGEST], list(model.model_fields))
        path = [spelt.get(path[0], path[0]), *path[1:]] if path else []
        errors.append({"pointer": _pointer(path), "detail": detail})
    first = errors[0]
    where = f" at {first['pointer']}" if first["pointer"] else ""
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"the {place} does not fit{where}: {first['detail']}",
        errors=errors,
    )


def refused(refusal: Rejected, part: Sequence[str]) -> Problem:
    """Pass on what the database said, and point at the ``part`` of the body that it is about."""
    errors = [{"pointer": _pointer(part), "detail": refusal.message}] if part else []
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, refusal.message, errors=errors)


def _pointer(path: Sequence[str]) -> str:
    return "".join("/" + p[:LONGEST].replace("~", "~0").replace("/", "~1") for p in path)


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every failure as a problem; no stack trace and no secret leaves the process."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except Exception as error:  # noqa: BLE001 - the edge of the process: everything becomes an answer
        return _problem(request, error).response()


def _problem(request: web.Request, error: Exception) -> Problem:
    """Find the problem that an exception stands for."""
    match error:
        case web.HTTPException():
            problem = _plain(request, error)
        case web.RequestPayloadError():
            sentence = "the body is not encoded as its headers say"
            problem = Problem(HTTPStatus.BAD_REQUEST, sentence)
        case Rejected():
            problem = Problem(HTTPStatus.UNPROCESSABLE_ENTITY, error.message)
        case Unavailable():
            problem = _away(error.message)
        case _ if isinstance(error, db.CONNECTION_ERRORS):
            log.warning("database.away", error=str(error) or repr(error))
            problem = _away("the database cannot be reached at the moment")
        case _ if isinstance(error, db.PASSING_ERRORS):
            log.error("database.hindered", error=str(error) or repr(error))
            problem = _away("the database cannot do this at the moment; try again later")
        case asyncpg.UndefinedTableError() | asyncpg.InvalidSchemaNameError():
            log.error("database.not_migrated", error=str(error))
            problem = _away("the database is not set up; its operator runs `mediaq migrate`")
        case _:
            log.error("request.failed", method=request.method, path=request.path, exc_info=error)
            sentence = "an unforeseen error; the API's log has it"
            problem = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, sentence)
    return problem


def _away(detail: str) -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": str(RETRY_SECONDS)}
    )


def _plain(request: web.Request, error: web.HTTPException) -> Problem:
    """Say in a sentence what aiohttp says by a status."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return Problem(
            HTTPStatus.METHOD_NOT_ALLOWED,
            f"{_path(request)} takes {allowed}, not {request.method}",
            headers={"Allow": allowed},
        )
    limit = request.client_max_size
    details = {
        HTTPStatus.NOT_FOUND: f"there is nothing at {_path(request)}",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"the body is larger than {limit} bytes",
    }
    status = HTTPStatus(error.status)
    return Problem(status, details.get(status, error.reason))


def _path(request: web.Request) -> str:
    return request.rel_url.raw_path[:LONGEST]
