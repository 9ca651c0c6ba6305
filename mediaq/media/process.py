"""The child-process boundary: one job in, progress and one answer out, nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import re
import signal
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from mediaq.errors import Rejected, Unavailable
from mediaq.media.trouble import trouble

Tell = Callable[[float, str], Awaitable[None]]

# Isolated and without site: the child gets the parent's import path with its job instead, so
# that virtual environments and editable installs work and no start-up hook runs.
FLAGS = ("-I", "-S", "-c")
BOOT = (
    "import os,sys,json\n"
    "job=json.loads(sys.stdin.buffer.readline())\n"
    "sys.path[:]=job['import']\n"
    "from mediaq.media.child.entry import main\n"
    "main(job)\n"
)
GIB = 1024**3
LIMITS: Mapping[str, int] = {"AS": 3 * GIB, "FSIZE": 4 * GIB, "NOFILE": 64}
"""Limits of the kernel on a child, by their names without ``RLIMIT_``; CPU follows the time."""
LINE_LIMIT = 16 * 1024 * 1024
LOG_LINES = 10
# What a child may take to end after it closed its pipe or talked nonsense.
LAST_SECONDS = 0.5
LOG_LINE = 300


async def run(
    job: Mapping[str, Any],
    *,
    name: str,
    source: Path,
    seconds: float,
    tell: Tell | None = None,
    boot: str = BOOT,
) -> dict[str, Any]:
    """Do ``job`` as :meth:`Child.do` does, in a child that has ended however this ends."""
    child = await Child.start(boot)
    try:
        return await child.do(job, name=name, source=source, seconds=seconds, tell=tell)
    finally:
        await child.end()


class Child:
    """A process that does jobs, one at a time; ``sound`` while it is known to wait for the next."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._source = Path("/")
        self._reading = asyncio.create_task(self._read_log())
        self.sound = True

    @classmethod
    async def start(cls, boot: str = BOOT) -> Child:
        """Start one; :class:`Unavailable` when that cannot be done."""
        return cls(await _start(boot))

    async def do(
        self,
        job: Mapping[str, Any],
        *,
        name: str,
        source: Path,
        seconds: float,
        tell: Tell | None = None,
    ) -> dict[str, Any]:
        """Do ``job`` and give its answer.

        Raises :class:`Rejected` when the child refuses the input, dies of it, talks nonsense or
        takes longer than ``seconds``; :class:`Unavailable` when it is killed from outside.
        """
        self.sound, self._source = False, source
        self._log.clear()
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                limits = {"CPU": math.ceil(seconds * (os.cpu_count() or 1)), **LIMITS}
                await _send(self._process, {"limits": limits, **job}, name, source)
                answer = await _listen(self._process, tell)
                code = None if answer else await _exit_code(self._process, self._reading)
        except TimeoutError:
            if not limit.expired():
                raise
            said = f"{name} took longer than {seconds:g} s to decode"
            msg = f"{said}, the limit (MEDIAQ_DECODE_TIMEOUT)"
            raise Rejected(msg, limit_seconds=seconds, ffmpeg=list(self._log)) from None
        result = answer.get("result")
        if isinstance(result, dict):
            self.sound = True
            return result
        if "unavailable" in answer:
            msg = f"{name} could not be decoded here: {answer['unavailable']}"
            raise Unavailable(msg, ffmpeg=list(self._log))
        if "refused" in answer:
            self.sound = True
            details = answer.get("details", {})
            raise Rejected(answer["refused"], ffmpeg=list(self._log), **details)
        raise trouble(name, code, self._log)

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself, or was killed."""
        return self._process.returncode is not None

    async def end(self) -> None:
        """Kill what is left of its process group and wait until it is gone."""
        child = self._process
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        if child.stdin is not None:
            child.stdin.close()
        # Its pipes are read to their end: asyncio calls a child gone only when they are.
        ending = asyncio.gather(child.wait(), self._reading, _drain(child), return_exceptions=True)
        await asyncio.shield(ending)

    async def _read_log(self) -> None:
        """Keep the last different lines of standard error, short and without paths."""
        assert self._process.stderr is not None  # noqa: S101 - it was asked for
        rest = b""
        while chunk := await self._process.stderr.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[:LOG_LINE]
            for line in lines:
                _note(self._log, line, self._source)
        _note(self._log, rest, self._source)


async def _start(boot: str) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *FLAGS,
            boot,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT,
            start_new_session=True,
            env=_environment(),
            cwd="/",
        )
    except OSError as error:
        msg = f"no process for decoding could be started: {error.strerror}"
        raise Unavailable(msg, retry_after=5.0) from error


def _environment() -> dict[str, str]:
    """Give the child no secret: nothing but where the system keeps its libraries."""
    passed = {key: os.environ[key] for key in ("LD_LIBRARY_PATH",) if key in os.environ}
    return {"LC_ALL": "C.UTF-8", **passed}


async def _send(
    child: asyncio.subprocess.Process, job: Mapping[str, Any], name: str, source: Path
) -> None:
    whole = {
        "parent": os.getpid(),
        "import": _import_path(),
        "name": name,
        "source": str(source),
        **job,
    }
    assert child.stdin is not None  # noqa: S101 - it was asked for
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        child.stdin.write(json.dumps(whole).encode() + b"\n")
        await child.stdin.drain()


def _import_path() -> list[str]:
    root = str(Path(__file__).resolve().parents[2])
    # With `python -m` the working folder is on the path: what lies there is not ours.
    left_out = {root, str(Path.cwd())}
    return [*(e for e in sys.path if Path(e).is_absolute() and e not in left_out), root]


async def _listen(child: asyncio.subprocess.Process, tell: Tell | None) -> dict[str, Any]:
    """Pass progress on until the child answers; empty when it ends or talks nonsense."""
    assert child.stdout is not None  # noqa: S101 - it was asked for
    while True:
        try:
            line = await child.stdout.readline()
            message = json.loads(line)
        except ValueError:
            # Not JSON, no text, endless, or the end of the pipe.
            return {}
        if not isinstance(message, dict):
            return {}
        if "progress" not in message:
            return message
        if tell is not None:
            await tell(float(message["progress"]), str(message.get("doing", "")))


async def _exit_code(child: asyncio.subprocess.Process, reading: asyncio.Task[None]) -> int | None:
    """Give a child that said nothing sensible a moment to end; None when it goes on."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_SECONDS):
            await child.wait()
            await asyncio.shield(reading)
    return child.returncode


def _note(log: deque[str], line: bytes, source: Path) -> None:
    text = line[:4096].decode("utf-8", "replace").strip()
    text = text.replace(str(source), source.name).replace(f"{source.parent}/", "")
    text = re.sub(r" @ 0x[0-9a-f]+", "", text)[:LOG_LINE]
    if text and text not in log:
        log.append(text)


async def _drain(child: asyncio.subprocess.Process) -> None:
    assert child.stdout is not None  # noqa: S101 - it was asked for
    while await child.stdout.read(LINE_LIMIT):
        pass
