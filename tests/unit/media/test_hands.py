"""Pages are done side by side, and a bad one costs itself and no more."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from mediaq.media.child.document import hands
from mediaq.media.child.refusal import Refusal

OPEN = Path("/proc/self/fd")


def double(page: int) -> dict[str, Any]:
    return {"twice": 2 * page}


def each(do: hands.Do, count: int = 20, seconds: float = 10) -> hands.Done:
    told: list[int] = []
    done = hands.each(range(count), lambda: do, seconds, told.append)
    assert told == sorted(told)
    return done


def test_every_page_is_done_once_in_whatever_process() -> None:
    done = each(double)
    assert done.pages == {page: {"twice": 2 * page} for page in range(20)}
    assert not done.failed


def test_a_page_that_is_refused_fails_or_crashes_leaves_the_others() -> None:
    def do(page: int) -> dict[str, Any]:
        if page == 3:
            msg = "is damaged"
            raise Refusal(msg)
        if page == 5:
            raise MemoryError
        if page == 7:
            os.kill(os.getpid(), signal.SIGTRAP)
        if page == 9:
            os._exit(3)
        return double(page)

    done = each(do)
    assert done.failed == {
        3: "is damaged",
        5: "needs more memory than is allowed",
        7: "made the decoder crash (SIGTRAP)",
        9: "made the decoder fail",
    }
    assert set(done.pages) == set(range(20)) - {3, 5, 7, 9}


def test_a_page_that_takes_too_long_is_ended() -> None:
    def do(page: int) -> dict[str, Any]:
        if page == 1:
            signal.pause()
        return double(page)

    done = each(do, count=3, seconds=0.2)
    assert done.failed == {1: "took longer than 0.2 s"}
    assert set(done.pages) == {0, 2}


def test_a_page_may_answer_at_length() -> None:
    done = each(lambda page: {"text": str(page) * 1_000_000}, count=2)
    assert [len(page["text"]) for page in done.pages.values()] == [1_000_000] * 2


def test_where_no_process_may_be_started_the_pages_are_done_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> int:
        raise PermissionError

    monkeypatch.setattr(os, "fork", refuse)
    before = len(list(OPEN.iterdir()))
    assert set(each(double).pages) == set(range(20))
    assert len(list(OPEN.iterdir())) == before
