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
    said: bytes = b""


def each(
    pages: Sequence[int], begin: Callable[[], Do], seconds: float, tell: Callable[[int], None]
) -> Done:
    """Do every page in processes of their own; ``begin`` opens the document in each.

    A page that takes longer than ``seconds``, needs too much memory or ends its process is noted as
    failed, and the others are done all the same. ``tell`` hears how many are done. Where a sandbox
    refuses new processes, the pages are done here: then a bad one ends the whole work.
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
                try:
                    hands.append(_hand(batch, begin, seconds))
                except PermissionError:
                    return _alone(pages, begin, tell)
            for hand in _listen(hands):
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


def _hand(pages: Iterable[int], begin: Callable[[], Do], seconds: float) -> _Hand:
    """Fork a process for ``pages``; here nothing of the document is opened."""
    reader, writer = os.pipe()
    sys.stderr.flush()
    parent = os.getpid()
    try:
        process = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        raise
    if process:
        os.close(writer)
        return _Hand(process, reader, deque(pages))
    status = 1
    try:
        os.close(reader)
        _die_with(parent)
        _lower_memory()
        # Left to the system, the alarm ends a process also in the middle of a library.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        _work(pages, begin, writer, seconds)
        status = 0
    finally:
        os._exit(status)


def _work(pages: Iterable[int], begin: Callable[[], Do], writer: int, seconds: float) -> None:
    """Answer each page in a line; a refusal of the page is an answer."""
    do = _begun(begin)
    for page in pages:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        data = json.dumps(_line(do, page)).encode() + b"\n"
        while data:
            data = data[os.write(writer, data) :]


def _begun(begin: Callable[[], Do]) -> Do:
    """Open the document with the first page, within that page's time."""
    opened: list[Do] = []

    def do(page: int) -> dict[str, Any]:
        if not opened:
            opened.append(begin())
        return opened[0](page)

    return do


def _line(do: Do, page: int) -> dict[str, Any]:
    try:
        return {"page": page, "answer": do(page)}
    except Refusal as refusal:
        return {"page": page, "failed": refusal.message}
    except MemoryError:
        return {"page": page, "failed": "needs more memory than is allowed"}


def _alone(pages: Sequence[int], begin: Callable[[], Do], tell: Callable[[int], None]) -> Done:
    """Do every page in this process."""
    done = Done()
    do = _begun(begin)
    for count, page in enumerate(pages, start=1):
        _note(_line(do, page), done)
        tell(count)
    return done


def _note(told: dict[str, Any], done: Done) -> None:
    if "answer" in told:
        done.pages[told["page"]] = told["answer"]
    else:
        done.failed[told["page"]] = told["failed"]


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _lower_memory() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _listen(hands: list[_Hand]) -> list[_Hand]:
    """Wait a second at most until a hand says something; give those that have ended."""
    ready, _, _ = select.select([hand.pipe for hand in hands], [], [], 1)
    over = []
    for hand in hands:
        if hand.pipe in ready:
            block = os.read(hand.pipe, BLOCK)
            hand.said += block
            if not block:
                over.append(hand)
    return over


def _read(hand: _Hand, done: Done) -> None:
    """Take the whole lines that a hand said."""
    *lines, hand.said = hand.said.split(b"\n")
    for line in lines:
        told = json.loads(line)
        hand.pages.remove(told["page"])
        _note(told, done)


def _end(hand: _Hand, done: Done, seconds: float) -> list[int]:
    """Note the page at which a hand ended, and give those it did not come to."""
    _read(hand, done)
    os.close(hand.pipe)
    status = os.waitpid(hand.process, 0)[1]
    if hand.pages:
        page = hand.pages.popleft()
        ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        if ended_by == signal.SIGALRM:
            done.failed[page] = late(seconds)
        elif ended_by:
            done.failed[page] = f"made the decoder crash ({signal.Signals(ended_by).name})"
        else:
            done.failed[page] = "made the decoder fail"
    return list(hand.pages)


def _kill(hand: _Hand) -> None:
    """End a hand that is not needed any more; it ends with this process in any case."""
    os.close(hand.pipe)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(hand.process, signal.SIGKILL)
