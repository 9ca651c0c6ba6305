"""The tools a step may use, as protocols in one value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from mediaq.model import (
    Kind,
    Made,
    MediaType,
    Options,
    Probe,
    Request,
    ResultType,
    SheetSet,
    Stored,
    Wanted,
)

V = TypeVar("V", bound=BaseModel)

Progress = Callable[[float, str], Awaitable[None]]
"""Tell how far a step is: a fraction from 0 to 1 and what it is doing."""


class Media(Protocol):
    """Work on foreign bytes; every call decodes in a child process."""

    async def kind(self, source: Path, title: str) -> Kind:
        """Tell from its content what the file is; :class:`Rejected` when it is nothing we know."""
        ...

    async def ask(
        self,
        work: str,
        source: Path,
        answer: type[V],
        *,
        title: str,
        progress: Progress | None = None,
        at_least: float = 0.0,
        **arguments: object,
    ) -> V:
        """Have the child do one of its works with JSON ``arguments`` and read its answer.

        ``at_least`` are seconds that a long file may take, whatever the limit is.
        """
        ...

    async def probe(self, source: Path) -> Probe:
        """Read what the file says of itself; :class:`Rejected` when it is no media file."""
        ...

    async def contact_sheets(
        self,
        source: Path,
        into: Path,
        *,
        options: Options,
        probe: Probe,
        title: str,
        progress: Progress,
    ) -> SheetSet:
        """Take frames and lay them out as sheets; all pictures are written below ``into``."""
        ...


class Storage(Protocol):
    """Where made files live; one backend per implementation."""

    async def put(self, source: Path, key: str) -> Stored:
        """Move the file ``source`` to ``key`` so that it is there whole or not at all."""
        ...

    async def remove(self, key: str) -> None:
        """Remove what lies at or below ``key``, if anything does."""
        ...


@dataclass(frozen=True, slots=True)
class Kit:
    """What one attempt hands to each of its steps.

    ``workspace`` is an empty folder of the step, removed with everything in it when the attempt
    ends. ``outputs`` is the storage key below which the step's files belong.
    """

    media: Media
    storage: Storage
    workspace: Path
    progress: Progress
    outputs: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """What a step starts from: the request, its source on this disk, the results so far.

    ``results`` is their typed content, ``texts`` what people read of them.
    """

    request: Request
    source: Path
    title: str
    kind: Kind
    results: Mapping[ResultType, Any]
    texts: Mapping[ResultType, str] = field(default_factory=dict)

    def result(self, result_type: ResultType, kind: type[V]) -> V:
        """Read an earlier step's result as its model; ``KeyError`` when no needed step made it."""
        return kind.model_validate(self.results[result_type])


@dataclass(frozen=True, slots=True)
class Step:
    """One step: a name that is recorded when it is done, and the function that does it.

    ``makes`` is what a client chooses it by. A step with ``only_if`` is asked for by an option of
    its own instead.
    """

    name: str
    run: Callable[[Work, Kit], Awaitable[Made]]
    makes: tuple[Wanted, ...] = ()
    only_if: Callable[[Options], bool] | None = None

    def asked(self, options: Options) -> bool:
        """Tell whether a client with these options asks for what the step makes."""
        if self.only_if is not None:
            return self.only_if(options)
        return options.want is None or not set(options.want).isdisjoint(self.makes)


@dataclass(frozen=True, slots=True)
class Branch:
    """The steps of one kind of media, each with the steps whose results it needs."""

    media_type: MediaType
    steps: Mapping[Step, tuple[Step, ...]]
