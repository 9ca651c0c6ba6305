"""Run a branch's steps in the order of their needs, independent ones side by side."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from graphlib import TopologicalSorter
from typing import Any

from mediaq.errors import Rejected, Unavailable
from mediaq.kit import Branch, Kit, Step, Work
from mediaq.model import Made, Options, Request, ResultType, Skip, Wanted

Record = Callable[[str, Made, int], Awaitable[None]]
"""Make a step's results permanent: its name, what it made, how many milliseconds it took."""

Tell = Callable[[str, float, str], Awaitable[None]]
"""Tell progress: the step, how far it is from 0 to 1, what it is doing."""


class StepFailed(Exception):
    """A step ended with ``error``."""

    def __init__(self, step: str, error: Exception) -> None:
        super().__init__(f"{step}: {error}")
        self.step = step
        self.error = error


def chosen(branch: Branch, options: Options) -> dict[Step, tuple[Step, ...]]:
    """Take the steps that are asked for, and those that they need."""
    kept: dict[Step, tuple[Step, ...]] = {}
    waiting = [step for step in branch.steps if step.asked(options)]
    while waiting:
        step = waiting.pop()
        kept[step] = branch.steps[step]
        waiting += [need for need in kept[step] if need not in kept]
    return kept


def not_made(branch: Branch, want: Collection[Wanted] | None) -> list[Wanted]:
    """Name what is wanted and no step of ``branch`` makes.

    Raises :class:`Rejected` when nothing is left.
    """
    made = {one for step in branch.steps for one in step.makes}
    missing = sorted(set(want or ()) - made)
    if missing and made.isdisjoint(want or ()):
        msg = (
            f"option want asks for {', '.join(missing)}, which no {branch.media_type} yields;"
            f" it yields {', '.join(sorted(made))}"
        )
        raise Rejected(msg)
    return missing


async def run(
    branch: Branch, work: Work, kit: Kit, *, done: Collection[str], record: Record, tell: Tell
) -> None:
    """Run every chosen step of ``branch`` that is not in ``done`` and record each as it ends.

    ``work.results`` and ``work.texts`` hold what the done steps made. The first failure ends the
    steps beside it: :class:`StepFailed` when a step failed, or whatever ``record`` raised.
    """
    results: dict[ResultType, Any] = dict(work.results)
    texts: dict[ResultType, str] = dict(work.texts)
    options = work.request.options
    for name in not_made(branch, options.want):
        if name not in done:
            why = f"no {branch.media_type} yields it"
            await record(name, Made(skipped=Skip(code="not_of_this_media", why=why)), 0)
    order = TopologicalSorter(chosen(branch, options))
    order.prepare()

    async def one(step: Step) -> Step:
        if step.name in done:
            return step
        started = time.monotonic()
        made = await _make(
            step,
            dataclasses.replace(work, results=dict(results), texts=dict(texts)),
            dataclasses.replace(
                kit, progress=lambda fraction, doing: tell(step.name, fraction, doing)
            ),
        )
        await record(step.name, made, round((time.monotonic() - started) * 1000))
        results.update({result.result_type: result.content_json for result in made.results})
        texts.update({result.result_type: result.content for result in made.results})
        return step

    running: set[asyncio.Task[Step]] = set()
    try:
        while order.is_active():
            running |= {asyncio.create_task(one(step)) for step in order.get_ready()}
            ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                order.done(task.result())
                running.remove(task)
    finally:
        await _end(running)


async def _end(tasks: Collection[asyncio.Task[Step]]) -> None:
    """Cancel tasks and wait for them, also when cancelled meanwhile.

    Their child processes and files are gone only once they have ended.
    """
    for task in tasks:
        task.cancel()
    cancelled = None
    while not all(task.done() for task in tasks):
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as error:
            cancelled = error
    await asyncio.gather(*tasks, return_exceptions=True)
    if cancelled is not None:
        raise cancelled


async def _make(step: Step, work: Work, kit: Kit) -> Made:
    """Run one step in folders of its own; what it stored is removed when it does not end well."""
    outputs = outputs_of(work.request, step.name)
    workspace = kit.workspace / step.name
    try:
        workspace.mkdir()
        return await step.run(work, dataclasses.replace(kit, workspace=workspace, outputs=outputs))
    except BaseException as error:
        # The trouble that ended the step is told, not what is left behind for the sweep.
        with suppress(Unavailable):
            await kit.storage.remove(outputs)
        if isinstance(error, Exception):
            cause = _cause(error)
            raise StepFailed(step.name, cause) from cause
        raise


def _cause(error: Exception) -> Exception:
    """Take the first failure out of a step's task group."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def outputs_of(request: Request, step: str) -> str:
    """The storage key below which an attempt's step puts its files.

    The attempt is part of it: one that comes back late cannot overwrite what a newer one made.
    """
    return f"outputs/{request.request_id}/{step}-{request.attempt}"
