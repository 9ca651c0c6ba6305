"""The child's first lines: arm its own limits, read one job, answer in JSON lines."""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import av
import av.error
import av.logging

from mediaq.media.child.refusal import Refusal

PR_SET_PDEATHSIG = 1

Tell = Callable[[float, str], None]
"""Tell how far a work is: a fraction from 0 to 1 and what it is doing."""

WORKS = {
    "contact_sheets": "contact",
    "document_metadata": "document.metadata",
    "document_text": "document.text",
    "kind": "kind",
    "previews": "document.previews",
    "probe": "probe",
    "summary": "language.summary",
    "text_analysis": "language.analysis",
}
"""What a child can do, each with the module beside this one whose function of that name does it.

A work takes the job and a :data:`Tell` and returns what fits in JSON.
"""


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


def die_with_parent(parent: int) -> None:
    """End this process when its parent ends, also by ``kill -9``."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=_wait_for_end_of_input, daemon=True).start()


def _wait_for_end_of_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


def set_limits(limits: dict[str, int]) -> None:
    """Lower resource limits by their names without ``RLIMIT_``; a core file is never written."""
    for name, value in {"CORE": 0, **limits}.items():
        which = getattr(resource, f"RLIMIT_{name}")
        _, hard = resource.getrlimit(which)
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (ceiling, ceiling))


def main(job: dict[str, Any]) -> None:
    """Do ``job`` and end the process without waiting for anything."""
    # What nobody foresaw is told in one line: a traceback would show paths of this machine.
    sys.tracebacklimit = 0
    answers = Answers()
    die_with_parent(job["parent"])
    set_limits(job["limits"])
    # libav's own callback writes to standard error without Python, so its lines survive a crash.
    av.logging.restore_default_callback()
    av.logging.set_libav_level(av.logging.ERROR)
    try:
        answers.send(result=_work(job, answers))
    except Refusal as refusal:
        answers.send(refused=refusal.message, details=refusal.details)
    except OSError as trouble:
        # Of this machine, such as a full disk; what libav says of the input is refused elsewhere.
        if isinstance(trouble, av.error.FFmpegError) or trouble.errno is None:
            raise
        answers.send(unavailable=os.strerror(trouble.errno))
    except MemoryError:
        answers.send(refused=f"{job['name']} needs more memory to decode than is allowed")
    sys.stderr.flush()
    # No clean-up: freeing decoders and pictures one by one only takes time.
    os._exit(0)


def _work(job: dict[str, Any], answers: Answers) -> dict[str, Any]:
    name = job["work"]
    work = getattr(importlib.import_module(f"mediaq.media.child.{WORKS[name]}"), name)
    done: dict[str, Any] = work(job, lambda part, what: answers.send(progress=part, doing=what))
    return done
