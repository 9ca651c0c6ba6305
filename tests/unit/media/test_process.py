"""Whatever a child process does, it is gone afterwards and was told no secret."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mediaq.errors import MediaqError, Rejected, Unavailable
from mediaq.media import process

READ_JOB = """
import json, os, signal, sys, time
job = json.loads(sys.stdin.buffer.readline())
sys.path[:] = job["import"]
def tell(**line):
    print(json.dumps(line), flush=True)
"""
WAIT = "signal.pause()\n"


async def run(
    code: str, seconds: float = 20, tell: process.Tell | None = None
) -> dict[str, object]:
    source = Path("/some/where/film.mp4")
    boot = READ_JOB + textwrap.dedent(code)
    return await process.run(
        {}, name="film.mp4", source=source, seconds=seconds, tell=tell, boot=boot
    )


def is_gone(pid: int) -> bool:
    """Tell whether the process has ended and been waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


class Pid:
    """Progress that carries the child's process id; set once it was told."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.value = 0

    async def __call__(self, _part: float, doing: str) -> None:
        self.value = int(doing)
        self.told.set()


TELL_PID = "tell(progress=0.5, doing=str(os.getpid()))\n"


async def test_the_answer_comes_back() -> None:
    assert await run("tell(result={'fine': 1})") == {"fine": 1}


async def test_progress_is_passed_on_in_order() -> None:
    parts: list[tuple[float, str]] = []

    async def tell(part: float, doing: str) -> None:
        parts.append((part, doing))

    await run(
        "tell(progress=0.1, doing='a'); tell(progress=0.9, doing='b'); tell(result={})", tell=tell
    )
    assert parts == [(0.1, "a"), (0.9, "b")]


async def test_a_refusal_becomes_rejected_with_its_details() -> None:
    with pytest.raises(Rejected, match="no film") as caught:
        await run("tell(refused='no film', details={'limit': 3})")
    assert caught.value.details["limit"] == 3


async def test_a_cancelled_call_leaves_no_process() -> None:
    pid = Pid()
    call = asyncio.create_task(run(TELL_PID + WAIT, tell=pid))
    await pid.told.wait()
    assert not is_gone(pid.value)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert is_gone(pid.value)


async def test_grandchildren_go_with_the_child() -> None:
    pid = Pid()
    code = """
    pid = os.fork()
    if pid:
        tell(progress=0.5, doing=str(pid))
    signal.pause()
    """
    call = asyncio.create_task(run(code, tell=pid))
    await pid.told.wait()
    watch = os.pidfd_open(pid.value)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    # It was killed in the same breath; being nobody's child, its end is only seen from outside.
    ended, _, _ = await asyncio.to_thread(select.select, [watch], [], [], 10)
    os.close(watch)
    assert ended


async def test_the_time_limit_kills_and_names_itself() -> None:
    pid = Pid()
    with pytest.raises(Rejected, match=r"film\.mp4 took longer than 0\.5 s"):
        await run(TELL_PID + WAIT, seconds=0.5, tell=pid)
    assert is_gone(pid.value)


async def test_a_failing_listener_ends_the_child() -> None:
    pid = Pid()

    async def tell(part: float, doing: str) -> None:
        await pid(part, doing)
        raise LookupError

    with pytest.raises(LookupError):
        await run(TELL_PID + WAIT, tell=tell)
    assert is_gone(pid.value)


async def test_a_crash_is_rejected_with_the_last_lines_of_the_log() -> None:
    code = """
    print("[h264 @ 0x55d0c0ffee] broken at /some/where/film.mp4", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)
    """
    with pytest.raises(Rejected, match=r"crash \(SIGSEGV\)") as caught:
        await run(code)
    assert caught.value.details["ffmpeg"] == ["[h264] broken at film.mp4"]
    assert caught.value.details["signal"] == "SIGSEGV"


async def test_a_kill_from_outside_is_worth_another_try() -> None:
    with pytest.raises(Unavailable, match="killed from outside"):
        await run("os.kill(os.getpid(), signal.SIGKILL)")


@pytest.mark.parametrize(
    "code",
    [
        "print('hello there', flush=True)\n" + WAIT,
        "print('[1, 2]', flush=True)\n" + WAIT,
        "tell(something='else')\n" + WAIT,
        "sys.stdout.buffer.write(b'\\xff\\x00\\n'); sys.stdout.flush()\n" + WAIT,
        "sys.exit(3)",
        "os.close(1)\n" + WAIT,
    ],
)
async def test_nonsense_is_rejected_at_once(code: str) -> None:
    with pytest.raises(Rejected, match="no answer about"):
        await run(code)


async def test_an_endless_line_is_cut_off() -> None:
    with pytest.raises(Rejected, match="no answer"):
        await run("while True: sys.stdout.write('x' * 65536)")


async def test_a_flood_of_log_lines_keeps_only_the_last() -> None:
    code = """
    for i in range(20000):
        print(f"line {i} " + "x" * 1000, file=sys.stderr)
    sys.stderr.flush()
    sys.exit(1)
    """
    with pytest.raises(Rejected) as caught:
        await run(code)
    lines = caught.value.details["ffmpeg"]
    assert isinstance(lines, list)
    assert len(lines) == process.LOG_LINES
    assert lines[-1].startswith("line 19999")
    assert all(len(line) <= process.LOG_LINE for line in lines)


async def test_the_child_sees_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://user:secret@host/db")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    seen = await run("tell(result=dict(os.environ))")
    assert set(seen) <= {"LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH"}
    arguments = await run("tell(result={'all': open('/proc/self/cmdline').read()})")
    assert "secret" not in str(arguments)


async def test_the_child_has_only_three_open_files() -> None:
    seen = await run("tell(result={'open': sorted(map(int, os.listdir('/proc/self/fd')))})")
    # The fourth is the folder being listed.
    assert seen["open"] == [0, 1, 2, 3]


def test_the_child_dies_with_a_parent_that_is_killed() -> None:
    """Start a parent that starts a child, kill the parent, and wait for the pipe both hold."""
    parent = """
    import asyncio, os, sys
    from pathlib import Path
    from mediaq.media import process
    from mediaq.media.process import BOOT, run
    os.set_inheritable(1, True)
    boot = BOOT.replace("main(job)", '''
    import mediaq.media.child.entry as entry, signal
    entry.die_with_parent(job["parent"])
    print('{"progress": 0, "doing": "%d"}' % os.getpid(), flush=True)
    signal.pause()
    ''')
    async def tell(part, doing):
        print(doing, flush=True)
    asyncio.run(run({}, name="x", source=Path("x"), seconds=60, tell=tell, boot=boot))
    """
    code = textwrap.dedent(parent)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        child = int(started.stdout.readline())
        watch = os.pidfd_open(child)
        started.send_signal(signal.SIGKILL)
        started.wait()
        ended, _, _ = select.select([watch], [], [], 10)
        os.close(watch)
    assert ended


async def test_what_is_raised_is_always_an_error_that_mediaq_understands() -> None:
    for code in ("raise SystemExit", "1/0", "os.abort()", "tell(result=None)"):
        with pytest.raises(MediaqError):
            await run(code)


def test_the_child_loads_nothing_it_does_not_need() -> None:
    code = (
        "import sys\n"
        "from mediaq.media.child import contact, entry, probe\n"
        "print(*sorted(name for name in sys.modules if '.' not in name))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert not {"pydantic", "asyncio", "numpy", "ffmpeg"} & set(ended.stdout.split())
