"""What clients may send: bodies, queries and the Prefer header, checked once at the edge."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from aiohttp import web
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainValidator,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from mediaq.api.problems import LONGEST, Problem, invalid
from mediaq.events import Cursor
from mediaq.model import EventName, MediaType, Status, Whole

MAX_BODY = 1024 * 1024
BODY_SECONDS = 30
"""Longest time that a body may take to arrive."""

MAX_WAIT = 300
"""Longest wait that a client may prefer, in seconds."""
TOO_LARGE = 10**1000
"""Python writes no whole number of more than some thousand digits."""

# curl -d says "form" although it sends JSON; clients of the API it replaces rely on that.
_JSON_TYPES = {"application/json", "application/x-www-form-urlencoded", "application/octet-stream"}
B = TypeVar("B", bound=BaseModel)
F = TypeVar("F", bound="Following")


def _storable(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Refuse what PostgreSQL cannot store: NUL, and numbers that are none or endless."""
    match value:
        case str() if "\0" in value:
            msg = "the character NUL cannot be stored"
            raise ValueError(msg)
        case float() if not math.isfinite(value):
            msg = "NaN, Infinity and numbers beyond 1e308 cannot be stored"
            raise ValueError(msg)
        case int() if abs(value) >= TOO_LARGE:
            msg = "a number is too large"
            raise ValueError(msg)
        case dict():
            for key, inner in value.items():
                _storable(key)
                _storable(inner)
        case list():
            for inner in value:
                _storable(inner)
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        msg = "the time is out of range"
        raise ValueError(msg) from None


Text = Annotated[str, StringConstraints(max_length=100_000), AfterValidator(_storable)]
Address = Annotated[str, StringConstraints(max_length=8192), AfterValidator(_storable)]
Name = Annotated[str, StringConstraints(max_length=100), AfterValidator(_storable)]
Key = Annotated[str, StringConstraints(max_length=255), AfterValidator(_storable)]
Group = Annotated[str, StringConstraints(max_length=200), AfterValidator(_storable)]
# What options there are, and what they may be, the database says.
Json = Annotated[JsonValue, AfterValidator(_storable)]
Metadata = Annotated[dict[str, Any], AfterValidator(_storable)]
Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class Submission(BaseModel):
    """A request for analysis; one of ``media_url`` and ``media_path`` is needed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    media_type: MediaType = "auto"
    media_url: Address | None = None
    media_path: Address | None = None
    prompt: Text | None = None
    options: Json = {}
    user_metadata: Metadata = {}
    priority: Annotated[Whole, Field(ge=-1000, le=1000)] = 0
    run_after: Time | None = None
    group_key: Group | None = None
    callback_url: Address | None = None
    created_by: Name | None = None
    idempotency_key: Key | None = None

    @model_validator(mode="after")
    def _has_a_source(self) -> Submission:
        if self.media_url is None and self.media_path is None:
            kind, sentence = "no_source", "give media_url (http or https) or media_path"
            raise PydanticCustomError(kind, sentence)
        return self


def _by_commas(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value


def _place(value: str) -> Cursor | int:
    found = re.fullmatch(r"(?:([0-9]{1,20})-)?([0-9]{1,19})", value)
    if found is None or int(found[1] or 0) >= 2**64 or int(found[2]) >= 2**63:
        msg = "it must be an id as a stream tells it, such as 1234-56, or an event_id"
        raise ValueError(msg)
    return Cursor(int(found[1]), int(found[2])) if found[1] else int(found[2])


class Following(BaseModel):
    """Where a stream of events goes on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: Annotated[Cursor | int | None, PlainValidator(_place)] = None


class FollowingAll(Following):
    """What the stream of all events is narrowed to; nothing is everything."""

    event: Annotated[frozenset[EventName], BeforeValidator(_by_commas)] = frozenset()
    media_type: Annotated[frozenset[MediaType], BeforeValidator(_by_commas)] = frozenset()


class Listing(BaseModel):
    """What the list of requests is narrowed to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Status | None = None
    media_type: MediaType | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 50
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


async def submission(request: web.Request, media_type: MediaType | None) -> Submission:
    """Read a body; on a route of one media type its own spellings (``video_url``) count too."""
    kind = request.content_type
    if request.can_read_body and kind not in _JSON_TYPES and not kind.endswith("+json"):
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send application/json, not {kind[:LONGEST]}"
        )
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = Object.model_validate_json(await request.read())
    except TimeoutError:
        raise Problem(
            HTTPStatus.REQUEST_TIMEOUT, f"the body did not arrive within {BODY_SECONDS} s"
        ) from None
    except ConnectionError:
        # The client hung up; nobody hears the answer, and the database is not the one to blame.
        raise Problem(HTTPStatus.BAD_REQUEST, "the body did not arrive") from None
    except ValidationError as error:
        message = error.errors(include_input=False)[0]["msg"]
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not a JSON object: {message}") from None
    values = _given(body.model_extra or {})
    key = _key(request)
    if key is not None and values.setdefault("idempotency_key", key) != key:
        sentence = "give the header Idempotency-Key or idempotency_key, not two different keys"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, sentence)
    return _valid(Submission, values, "body", _unify(values, media_type) if media_type else {})


def _key(request: web.Request) -> str | None:
    """Read ``Idempotency-Key``, with the quotes of its specification or without.

    https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
    """
    given = set(request.headers.getall("Idempotency-Key", []))
    if not given:
        return None
    key = re.sub(r'^"(.*)"$', r"\1", given.pop().strip())
    if given or not key or not (key.isascii() and key.isprintable()):
        sentence = "Idempotency-Key must be one text of 1 to 255 printable ASCII characters"
        raise Problem(HTTPStatus.BAD_REQUEST, sentence)
    return key


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out nulls and empty texts: they say nothing, as in SQL."""
    return {name: value for name, value in values.items() if value is not None and value != ""}


def _unify(values: dict[str, Any], media_type: MediaType) -> dict[str, str]:
    """Rename a route's own spellings to the common ones; the answer leads back."""
    spelt = {}
    for part in ("url", "path"):
        own, common = f"{media_type}_{part}", f"media_{part}"
        if own in values:
            value = values.pop(own)
            if values.setdefault(common, value) != value:
                raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"give {own} or {common}, not both")
            spelt[common] = own
    if values.setdefault("media_type", media_type) != media_type:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"media_type must be {media_type} here; /api/media/analyze takes every type",
        )
    return spelt


def listing(request: web.Request) -> Listing:
    """Read the query of the list."""
    return _valid(Listing, _given(request.query), "query", {})


def following(request: web.Request, model: type[F]) -> F:
    """Read the query of a stream; what a client saw last goes before what its URL says."""
    values, last = _given(request.query), request.headers.get("Last-Event-ID")
    if last:
        return _valid(model, values | {"since": last}, "request", {"since": "Last-Event-ID"})
    return _valid(model, values, "query", {})


def preferred_wait(request: web.Request) -> float | None:
    """Read ``Prefer: wait=N`` in seconds (RFC 7240); None when it is not asked."""
    for header in request.headers.getall("Prefer", []):
        if found := re.search(r"(?:^|[,;\s])wait=\"?(\d{1,9})", header, re.IGNORECASE):
            return min(float(found[1]), MAX_WAIT)
    return None


class Object(BaseModel):
    """Any JSON object."""

    model_config = ConfigDict(extra="allow")


def _valid(model: type[B], values: Mapping[str, Any], place: str, spelt: Mapping[str, str]) -> B:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid(error, model, place=place, spelt=spelt) from None
