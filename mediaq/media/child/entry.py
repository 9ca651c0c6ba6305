"""The child's first lines: give up what it does not need, do one job, answer in JSON lines."""

from __future__ import annotations

import ctypes
import errno
import importlib
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import av
import av.error
import av.logging

from mediaq.media.child import extent, sandbox
from mediaq.media.child.refusal import Refusal

PR_SET_PDEATHSIG = 1

Tell = Callable[[float, str], None]
"""Tell how far a work is: a fraction from 0 to 1 and what it is doing."""

WORKS = {
    "audio_analysis": "hearing",
    "contact_sheets": "contact",
    "cover": "cover",
    "document_metadata": "document.metadata",
    "document_text": "document.text",
    "kind": "kind",
    "previews": "document.previews",
    "probe": "probe",
    "transcription": "dictation",
    "storyboard": "storyboard",
    "scenes": "scenes",
    "trial": "trial",
    "summary": "language.summary",
    "text_analysis": "language.analysis",
}
"""What a child can do, each with the module beside this one whose function of that name does it.

A work takes the job and a :data:`Tell` and returns what fits in JSON.
"""

FORKING = frozenset({"document_text", "previews"})
"""Works that do each page in a process of its own."""


class Answers:
    """The pipe to the parent; what a library prints to standard output goes to the log."""

    def __init__(self) -> None:
        self._pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def send(self, **line: object) -> None:
        """Write one line at once."""
        text = json.dumps(line, allow_nan=False)
        with self._lock:
            self._pipe.write(text + "\n")
            self._pipe.flush()


def die_with_parent(parent: int) -> queue.SimpleQueue[bytes]:
    """End this process when its parent ends, also by ``kill -9``; give what it says until then."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_to_end, args=(lines,), daemon=True).start()
    return lines


def _read_to_end(lines: queue.SimpleQueue[bytes]) -> None:
    # Without Python's buffers: a thread that holds one keeps the process from ending in peace.
    rest = b""
    while chunk := os.read(0, 65536):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            lines.put(line)
    os._exit(1)


def enter(job: dict[str, Any]) -> queue.SimpleQueue[bytes]:
    """Put the limits of ``job`` in force, confine this process and tie its life to its parent's.

    Gives what the parent says until then. ``readable`` of a job names what it needs beside its
    source, such as a model's files.
    """
    extent.put_in_force(job.get("extent", {}))
    sandbox.confine(
        job["limits"],
        readable=[job["source"], *job.get("readable", ())],
        writable=[job["into"]] if "into" in job else [],
        forks=job.get("work") in FORKING,
    )
    return die_with_parent(job["parent"])


def main(job: dict[str, Any]) -> None:
    """Do ``job``, and the next ones where it is to stay; end without waiting for anything."""
    # What nobody foresaw is told in one line: a traceback would show paths of this machine.
    sys.tracebacklimit = 0
    answers = Answers()
    lines = enter(job)
    # libav's own callback writes to standard error without Python, so its lines survive a crash.
    av.logging.restore_default_callback()
    av.logging.set_libav_level(av.logging.ERROR)
    _answer(job, answers)
    while job.get("stay"):
        job = json.loads(lines.get())
        _answer(job, answers)
    # No clean-up: freeing decoders and pictures one by one only takes time.
    os._exit(0)


def _answer(job: dict[str, Any], answers: Answers) -> None:
    try:
        answers.send(result=_work(job, answers))
    except Refusal as refusal:
        answers.send(refused=refusal.message, details=refusal.details)
    except OSError as trouble:
        if trouble.errno == errno.EFBIG:
            most = job["limits"]["FSIZE"] // 1024**3
            msg = f"{job['name']} would make a file larger than {most} GiB, the limit"
            answers.send(refused=msg)
            os._exit(0)
        # Of this machine, such as a full disk; what libav says of the input is refused elsewhere.
        if isinstance(trouble, av.error.FFmpegError) or trouble.errno is None:
            raise
        answers.send(unavailable=os.strerror(trouble.errno))
    except MemoryError:
        answers.send(refused=f"{job['name']} needs more memory to decode than is allowed")
    sys.stderr.flush()


def _work(job: dict[str, Any], answers: Answers) -> dict[str, Any]:
    name = job["work"]
    work = getattr(importlib.import_module(f"mediaq.media.child.{WORKS[name]}"), name)
    done: dict[str, Any] = work(job, lambda part, what: answers.send(progress=part, doing=what))
    return done
