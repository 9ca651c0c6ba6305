"""What it means that a child ended without an answer: whose fault it was, and what to say."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

from mediaq.errors import Rejected, Unavailable

# Sent from outside, not raised by what the child decodes.
FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def trouble(name: str, code: int | None, log: Sequence[str]) -> Rejected | Unavailable:
    """Say what ended the child that worked on ``name``, from its exit code and its last lines."""
    if code is not None and code < 0:
        number = -code
        if number == signal.SIGXCPU:
            msg = f"{name} took more processor time to decode than MEDIAQ_DECODE_TIMEOUT allows"
            return Rejected(msg, ffmpeg=list(log))
        if number in FROM_OUTSIDE:
            msg = f"the process decoding {name} was killed from outside"
            return Unavailable(msg, signal=signal.Signals(number).name)
        try:
            crash = signal.Signals(number).name
        except ValueError:
            crash = f"signal {number}"
        msg = f"{name} made the decoder crash ({crash})"
        return Rejected(msg, signal=crash, ffmpeg=list(log))
    # Python says last what ended it; that is a fault of ours or of a library, not of the input.
    said = log[-1] if log and re.match(r"\w+(\.\w+)*(Error|Exception)\b", log[-1]) else ""
    msg = (
        f"the decoder itself failed on {name}: {said}"
        if said
        else f"the decoder gave no answer about {name}"
    )
    return Rejected(msg, exit_code=code, ffmpeg=list(log))
