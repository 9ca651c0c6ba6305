"""Natural batching: what is asked while an answer is under way is answered in the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

QUIET_TURNS = 6
"""A batch goes out once nobody has asked for so many turns of the event loop, fractions of a ms."""

MOST_TURNS = 400
"""Or after so many."""


class Together(Generic[K, V]):
    """Answers single questions by one call for many.

    ``answer`` takes a batch of questions and returns as many answers, in their order. A lone
    question is a batch of one and waits for nothing but a few turns of the event loop; under load
    batches grow by themselves to what arrives during one call.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[K]], Awaitable[Sequence[V]]],
        *,
        ready: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._answer = answer
        self._ready = ready
        self._asked: list[tuple[K, asyncio.Future[V]]] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, question: K) -> V:
        """Return the answer; raises what the call for the batch raised."""
        future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._asked.append((question, future))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await future

    async def idle(self, seconds: float) -> None:
        """Wait until nothing is under way, but no longer than that."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)

    async def _work(self) -> None:
        try:
            while self._asked:
                if self._ready is not None:
                    await self._ready()
                await self._until_quiet()
                batch, self._asked = self._asked, []
                await self._work_batch(batch)
        finally:
            self._task = None

    async def _until_quiet(self) -> None:
        quiet, seen = 0, len(self._asked)
        for _ in range(MOST_TURNS):
            await asyncio.sleep(0)
            quiet = quiet + 1 if len(self._asked) == seen else 0
            seen = len(self._asked)
            if quiet == QUIET_TURNS:
                return

    async def _work_batch(self, batch: list[tuple[K, asyncio.Future[V]]]) -> None:
        try:
            answers = await self._answer([question for question, _ in batch])
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - whoever asked handles it
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
