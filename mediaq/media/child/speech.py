"""Where somebody speaks, by Silero's voice activity detector."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mediaq.media.child.spans import Spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 16_000
CHUNK = 512
CONTEXT = 64
BATCH = 60 * RATE // CHUNK
# silero_vad_v6.onnx as it comes with faster-whisper 1.2.1 (MIT, github.com/snakers4/silero-vad).
SHA256 = "4cbf549b8326f60f80f2536d9eefeb450a9abe83365a098031c89719f1be17d2"
THRESHOLD = 0.5
GO_ON = 0.35
SHORTEST = 0.25
BRIDGE = 0.3


class Session(Protocol):
    """The part of onnxruntime's session that is used here."""

    def run(self, names: None, given: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Compute all outputs."""
        ...


class Speech:
    """Takes 16 kHz samples and finds the spans of speech.

    A chunk of 32 ms is speech from a probability of 0.5 on, and stays it down to 0.35, as
    Silero's own ``get_speech_timestamps`` does.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._state = [np.zeros((1, 1, 128), np.float32) for _ in range(2)]
        self._context = np.zeros(CONTEXT, np.float32)
        self._rest: list[NDArray[np.float32]] = []
        self._waiting = 0
        self._speaking = False
        self._spans = Spans(CHUNK / RATE, shortest=SHORTEST, bridge=BRIDGE)

    def hear(self, samples: NDArray[np.float32]) -> None:
        """Take samples from -1 to 1; they are looked at a minute at a time."""
        self._rest.append(samples)
        self._waiting += len(samples)
        if self._waiting >= BATCH * CHUNK:
            self._look()

    def result(self, length: float, start: float) -> dict[str, Any]:
        """Give the spans of speech."""
        self._rest.append(np.zeros(CHUNK - 1, np.float32))
        self._look()
        found = self._spans.result(length, start)
        return {"threshold": THRESHOLD, "method": "silero-vad 6", **found}

    def _look(self) -> None:
        samples = np.concatenate(self._rest)
        whole = len(samples) // CHUNK * CHUNK
        self._rest, self._waiting = [samples[whole:]], len(samples) - whole
        chunks = samples[:whole].reshape(-1, CHUNK)
        if not len(chunks):
            return
        ends = chunks[:, -CONTEXT:]
        before = np.concatenate([self._context[None], ends[:-1]])
        self._context = ends[-1].copy()
        given = {"input": np.concatenate([before, chunks], axis=1)}
        given |= dict(zip("hc", self._state, strict=True))
        probabilities, *self._state = self._session.run(None, given)
        for probability in probabilities.ravel():
            self._speaking = bool(probability >= (GO_ON if self._speaking else THRESHOLD))
            self._spans.add(self._speaking)


def detector() -> Speech | None:
    """Load the detector; None where ``mediaq[local]`` is not installed.

    Its weights lie in the package faster-whisper, which is looked up without being imported.
    """
    package = find_spec("faster_whisper")
    if package is None or package.origin is None or find_spec("onnxruntime") is None:
        return None
    weights = (Path(package.origin).parent / "assets" / "silero_vad_v6.onnx").read_bytes()
    if hashlib.sha256(weights).hexdigest() != SHA256:
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    providers = ["CPUExecutionProvider"]
    return Speech(onnxruntime.InferenceSession(weights, options, providers=providers))
