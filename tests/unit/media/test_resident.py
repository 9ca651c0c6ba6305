"""Children that stay: one for each work, one job at a time, gone when idle, hurt or not needed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mediaq.errors import Rejected, Unavailable
from mediaq.media import process
from mediaq.media.resident import Residents

# The work "say" tells who it is and what it was given; others hurt themselves.
BOOT = """
import json, os, sys, time
said = 0
for line in sys.stdin.buffer:
    job = json.loads(line)
    sys.path[:] = job["import"]
    def tell(**line):
        print(json.dumps(line), flush=True)
    tell(progress=0.5, doing=str(os.getpid()))
    if job.get("then") == "hang":
        time.sleep(600)
    elif job.get("then") == "die":
        os.kill(os.getpid(), 11)
    elif job.get("then") == "refuse":
        tell(refused="no", details={"skip": "not_installed"})
    else:
        said += 1
        content = open(job["source"]).read()
        tell(result={"pid": os.getpid(), "said": said, "content": content, "inbox": job["source"]})
"""


@pytest.fixture(autouse=True)
def _boot(monkeypatch: pytest.MonkeyPatch) -> None:
    start = process._start
    monkeypatch.setattr(process, "_start", lambda _: start(BOOT))


@pytest.fixture
async def residents() -> AsyncIterator[Residents]:
    async with Residents() as opened:
        yield opened


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text("hello")
    return path


async def say(residents: Residents, source: Path, seconds: float = 20, **job: Any) -> Any:
    job = {"work": "say"} | job
    tell = job.pop("tell", None)
    return await residents.run(job, name="a.txt", source=source, seconds=seconds, tell=tell)


def is_gone(pid: int) -> bool:
    """Tell whether the process has ended and been waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_the_same_child_does_one_job_after_the_other(
    residents: Residents, source: Path
) -> None:
    answers = await asyncio.gather(*(say(residents, source) for _ in range(3)))
    assert [answer["said"] for answer in answers] == [1, 2, 3]
    assert len({answer["pid"] for answer in answers}) == 1
    assert {answer["content"] for answer in answers} == {"hello"}


async def test_each_work_has_a_child_of_its_own(residents: Residents, source: Path) -> None:
    one, two = await asyncio.gather(say(residents, source), say(residents, source, work="sing"))
    assert one["pid"] != two["pid"]


async def test_sources_are_brought_to_one_folder_and_removed(
    residents: Residents, source: Path, tmp_path: Path
) -> None:
    other = tmp_path / "b.txt"
    other.write_text("bye")
    first, second = await say(residents, source), await say(residents, other)
    inbox = Path(first["inbox"]).parent
    assert Path(second["inbox"]).parent == inbox
    assert second["content"] == "bye"
    assert not list(inbox.iterdir())
    assert source.exists()


async def test_a_refusal_leaves_the_child_as_it_is(residents: Residents, source: Path) -> None:
    first = await say(residents, source)
    with pytest.raises(Rejected) as caught:
        await say(residents, source, then="refuse")
    assert caught.value.details["skip"] == "not_installed"
    assert (await say(residents, source))["pid"] == first["pid"]


async def test_a_crash_is_the_inputs_and_the_next_job_has_a_new_child(
    residents: Residents, source: Path
) -> None:
    first = await say(residents, source)
    with pytest.raises(Rejected, match="made the decoder crash"):
        await say(residents, source, then="die")
    assert is_gone(first["pid"])
    assert (await say(residents, source))["said"] == 1


async def test_a_job_that_takes_too_long_ends_the_child(residents: Residents, source: Path) -> None:
    first = await say(residents, source)
    with pytest.raises(Rejected, match=r"longer than 0\.2 s"):
        await say(residents, source, seconds=0.2, then="hang")
    assert is_gone(first["pid"])
    assert (await say(residents, source))["said"] == 1


async def test_time_spent_waiting_for_others_does_not_count(
    residents: Residents, source: Path
) -> None:
    hanging = asyncio.create_task(say(residents, source, seconds=1, then="hang"))
    after = asyncio.create_task(say(residents, source, seconds=1))
    with pytest.raises(Rejected, match="longer than 1 s"):
        await hanging
    assert (await after)["said"] == 1


async def test_a_cancelled_job_ends_its_child_and_not_the_next_job(
    residents: Residents, source: Path
) -> None:
    pid: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def tell(_: float, doing: str) -> None:
        pid.set_result(int(doing))

    running = asyncio.create_task(say(residents, source, then="hang", tell=tell))
    await pid
    waiting = asyncio.create_task(say(residents, source))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert is_gone(pid.result())
    assert (await waiting)["said"] == 1


async def test_a_child_killed_from_outside_may_heal(residents: Residents, source: Path) -> None:
    told: list[int] = []

    async def kill(_: float, doing: str) -> None:
        told.append(int(doing))
        os.kill(int(doing), 9)

    with pytest.raises(Unavailable, match="killed from outside"):
        await say(residents, source, then="hang", tell=kill)
    assert (await say(residents, source))["pid"] not in told


async def test_an_idle_child_that_died_is_replaced(residents: Residents, source: Path) -> None:
    first = await say(residents, source)
    os.kill(first["pid"], 9)
    await _gone(first["pid"])
    assert (await say(residents, source))["pid"] != first["pid"]


async def test_an_idle_child_ends_after_a_while(source: Path) -> None:
    async with Residents(idle_seconds=0.05) as residents:
        first = await say(residents, source)
        await _gone(first["pid"])
        assert (await say(residents, source))["said"] == 1


async def test_nothing_is_left_when_the_worker_ends(source: Path) -> None:
    async with Residents() as residents:
        answer = await say(residents, source)
    assert is_gone(answer["pid"])
    assert not Path(answer["inbox"]).parent.exists()


async def _gone(pid: int) -> None:
    async with asyncio.timeout(20):
        # The end of a process rings no bell that a test could wait for.
        while not is_gone(pid):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
