"""Forked hands that do one page after the other, so that a bad page costs itself and no more."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mediaq.media.child.crew import MAX_WORKERS, cpus
from mediaq.media.child.refusal import Refusal

PR_SET_PDEATHSIG = 1
# A page is drawn in some megabytes; what needs this much is a bomb.
MEMORY = 1536 * 1024 * 1024
# So many pages are handed out at once: a fork costs a few milliseconds, a page less than ten.
BATCH = 8
# After so many pages that took too long, the rest of the document is left out.
PATIENCE = 5
BLOCK = 65536

Do = Callable[[int], dict[str, Any]]
"""Do one page, counted from 0; the answer must fit in JSON."""


@dataclass(slots=True)
class Done:
    """The answers by page, and why a page has none, each as the end of a sentence."""

    pages: dict[int, dict[str, Any]] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Hand:
    """One forked process, the pages it was given and has not answered, what it said so far."""

    process: int
    pipe: int
    pages: deque[int]
    since: float
    said: bytes = b""


def each(
    pages: Sequence[int], begin: Callable[[], Do], seconds: float, tell: Callable[[int], None]
) -> Done:
    """Do every page in processes of their own; ``begin`` opens the document in each.

    A page that takes longer than ``seconds``, needs too much memory or ends its process is noted as
    failed, and the others are done all the same. ``tell`` hears how many are done.
    """
    waiting = deque(pages)
    done = Done()
    hands: list[_Hand] = []
    # Few pages are done before a second process would have opened the document.
    most = min(cpus(), MAX_WORKERS, -(-len(pages) // BATCH))
    share = max(1, -(-len(pages) // max(1, most)))
    try:
        while waiting or hands:
            while waiting and len(hands) < most:
                batch = [waiting.popleft() for _ in range(min(share, len(waiting)))]
                hands.append(_hand(batch, begin))
            for hand in _listen(hands, seconds):
                hands.remove(hand)
                waiting.extendleft(reversed(_end(hand, done, seconds)))
            if sum(why == late(seconds) for why in done.failed.values()) >= PATIENCE:
                waiting.extend(page for hand in hands for page in hand.pages)
                done.failed |= dict.fromkeys(waiting, "was left out after others took too long")
                break
            for hand in hands:
                _read(hand, done)
            tell(len(done.pages) + len(done.failed))
    finally:
        for hand in hands:
            _kill(hand)
    return done


def late(seconds: float) -> str:
    """Say that a page took too long."""
    return f"took longer than {seconds:g} s"


def _hand(pages: Iterable[int], begin: Callable[[], Do]) -> _Hand:
    """Fork a process for ``pages``; here nothing of the document is opened."""
    reader, writer = os.pipe()
    sys.stderr.flush()
    parent = os.getpid()
    process = os.fork()
    if process:
        os.close(writer)
        os.set_blocking(reader, False)
        return _Hand(process, reader, deque(pages), time.monotonic())
    status = 1
    try:
        os.close(reader)
        _die_with(parent)
        _lower_memory()
        _work(pages, begin, writer)
        status = 0
    finally:
        os._exit(status)


def _work(pages: Iterable[int], begin: Callable[[], Do], writer: int) -> None:
    """Answer each page in a line; a refusal of the page is an answer."""
    do: Do | None = None
    for page in pages:
        try:
            do = do or begin()
            line = {"page": page, "answer": do(page)}
        except Refusal as refusal:
            line = {"page": page, "failed": refusal.message}
        except MemoryError:
            line = {"page": page, "failed": "needs more memory than is allowed"}
        data = json.dumps(line).encode() + b"\n"
        while data:
            data = data[os.write(writer, data) :]


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _lower_memory() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _listen(hands: list[_Hand], seconds: float) -> list[_Hand]:
    """Wait until a hand says something or its page takes too long; give those that are over."""
    now = time.monotonic()
    patience = min((hand.since + seconds - now for hand in hands), default=0)
    ready, _, _ = select.select([hand.pipe for hand in hands], [], [], max(0, min(patience, 1)))
    now = time.monotonic()
    over = []
    for hand in hands:
        if hand.pipe in ready:
            block = os.read(hand.pipe, BLOCK)
            hand.said += block
            if not block:
                over.append(hand)
        elif now - hand.since > seconds:
            over.append(hand)
    return over


def _read(hand: _Hand, done: Done) -> None:
    """Take the whole lines that a hand said."""
    *lines, hand.said = hand.said.split(b"\n")
    for line in lines:
        told = json.loads(line)
        page = told["page"]
        hand.pages.remove(page)
        hand.since = time.monotonic()
        if "answer" in told:
            done.pages[page] = told["answer"]
        else:
            done.failed[page] = told["failed"]


def _end(hand: _Hand, done: Done, seconds: float) -> list[int]:
    """Note the page at which a hand ended, and give those it did not come to."""
    _read(hand, done)
    overdue = time.monotonic() - hand.since > seconds
    status = _kill(hand)
    if hand.pages:
        page = hand.pages.popleft()
        if overdue:
            done.failed[page] = late(seconds)
        elif os.WIFSIGNALED(status):
            done.failed[page] = (
                f"made the decoder crash ({signal.Signals(os.WTERMSIG(status)).name})"
            )
        else:
            done.failed[page] = "made the decoder fail"
    return list(hand.pages)


def _kill(hand: _Hand) -> int:
    with contextlib.suppress(ProcessLookupError):
        os.kill(hand.process, signal.SIGKILL)
    os.close(hand.pipe)
    return os.waitpid(hand.process, 0)[1]
