"""What is said, written down with its times by a speech model."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from mediaq.media.child.refusal import Refusal
from mediaq.media.child.speech import RATE
from mediaq.media.child.whisper import model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faster_whisper import WhisperModel
    from faster_whisper.transcribe import Segment
    from numpy.typing import NDArray

    from mediaq.media.child.entry import Tell

# A piece is cut where it is quietest, near its end: the model's memory does not grow with the file.
PIECE_SECONDS = 300
LOOK_SECONDS = 30
BEAT_SECONDS = 1.0
# Whisper's own thresholds (openai/whisper, transcribe.py) for what it only imagined.
MAX_COMPRESSION = 2.4
LEAST_LOGPROB = -1.0
MAX_NO_SPEECH = 0.6


def transcription(job: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Write down 16 kHz mono samples with the fields of ``mediaq.steps.transcription.Said``.

    ``confidence`` of a segment is the geometric mean of its tokens' probabilities,
    ``exp(avg_logprob)`` with the mean log-probability that Whisper's decoder gives
    (openai/whisper, decoding.py); that of the whole is the same over all tokens.
    """
    beat = _Beat(tell)
    try:
        beat.tell(0.0, "loading the speech model")
        whisper, name = model(job.get("model"))
        samples = np.memmap(job["source"], dtype="<i2", mode="r")
        return {"model": name, **_Dictation(whisper, job, beat).take(samples)}
    finally:
        beat.stop()


class _Beat:
    """Tells the position again while the model is busy, so that nobody takes it for dead."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._last: tuple[float, str] | None = None
        self._over = threading.Event()
        self._lock = threading.Lock()
        threading.Thread(target=self._run, daemon=True).start()

    def tell(self, fraction: float, doing: str) -> None:
        with self._lock:
            self._last = fraction, doing
            self._tell(fraction, doing)

    def stop(self) -> None:
        # Nothing may be told after the answer: it would be taken for the next job's.
        with self._lock:
            self._over.set()

    def _run(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            with self._lock:
                if self._last and not self._over.is_set():
                    self._tell(*self._last)


class _Dictation:
    """One run over the samples; the language that is found first is kept."""

    def __init__(self, whisper: WhisperModel, job: dict[str, Any], beat: _Beat) -> None:
        self._whisper, self._beat = whisper, beat
        self._language: str | None = job["language"]
        self._start: float = job["start"]
        self._found: tuple[str, float | None] | None = None
        if self._language and self._language not in whisper.supported_languages:
            msg = f"the speech model does not know language {self._language!r}"
            raise Refusal(msg, skip="language_not_known")

    def take(self, samples: NDArray[np.int16]) -> dict[str, Any]:
        segments: list[dict[str, Any]] = []
        left_out, logprob, tokens = 0, 0.0, 0
        for segment, offset in self._segments(samples):
            if not _plausible(segment):
                left_out += 1
                continue
            segments.append(self._told(segment, offset))
            logprob += segment.avg_logprob * len(segment.tokens)
            tokens += len(segment.tokens)
        language, probability = self._found if self._found and segments else (None, None)
        return {
            "language": language,
            "language_probability": probability,
            "segments": segments,
            "left_out": left_out,
            "confidence": _likelihood(logprob / tokens) if tokens else None,
        }

    def _segments(self, samples: NDArray[np.int16]) -> Iterator[tuple[Segment, float]]:
        for begin, end in _pieces(samples):
            piece = samples[begin:end].astype(np.float32) / 32768
            offset, given = begin / RATE, self._language
            at = f"{self._start + offset:.0f} s"
            self._beat.tell(begin / len(samples), f"writing down what is said at {at}")
            segments, info = self._whisper.transcribe(
                piece,
                language=given,
                vad_filter=True,
                vad_parameters={"min_silence_duration_ms": 500},
                word_timestamps=True,
                condition_on_previous_text=False,
                hallucination_silence_threshold=2.0,
                language_detection_segments=4,
            )
            for segment in segments:
                if self._found is None:
                    chance = None if given else round(float(info.language_probability), 4)
                    self._found = info.language, chance
                    self._language = info.language
                at = self._start + offset + segment.end
                part = min(1.0, (begin + segment.end * RATE) / len(samples))
                self._beat.tell(part, f"writing down what is said at {at:.0f} s")
                yield segment, self._start + offset

    def _told(self, segment: Segment, offset: float) -> dict[str, Any]:
        return {
            "start": round(offset + segment.start, 3),
            "end": round(offset + segment.end, 3),
            "text": segment.text.strip(),
            "confidence": _likelihood(segment.avg_logprob),
            "no_speech_probability": round(float(segment.no_speech_prob), 4),
            "words": [
                {
                    "start": round(float(offset + word.start), 3),
                    "end": round(float(offset + word.end), 3),
                    "text": word.word,
                    "probability": round(float(word.probability), 4),
                }
                for word in segment.words or ()
            ],
        }


def _plausible(segment: Segment) -> bool:
    """Tell what was said from what a model makes of noise: loops, and words nobody is sure of."""
    if not segment.text.strip() or segment.compression_ratio > MAX_COMPRESSION:
        return False
    return bool(segment.avg_logprob >= LEAST_LOGPROB or segment.no_speech_prob <= MAX_NO_SPEECH)


def _likelihood(logprob: float) -> float:
    return round(min(1.0, math.exp(logprob)), 4)


def _pieces(samples: NDArray[np.int16]) -> Iterator[tuple[int, int]]:
    begin = 0
    while begin < len(samples):
        end = begin + PIECE_SECONDS * RATE
        if end < len(samples):
            end -= _quietest(samples[end - LOOK_SECONDS * RATE : end])
        yield begin, min(end, len(samples))
        begin = end


def _quietest(samples: NDArray[np.int16]) -> int:
    """Find the middle of the quietest half second; counted from the end."""
    window = RATE // 10
    levels = np.abs(samples.astype(np.float32)).reshape(-1, window).mean(axis=1)
    sums = np.convolve(levels, np.ones(5), "valid")
    return int(len(samples) - (sums.argmin() + 2.5) * window)
