"""All that is told of a sound by measuring it, in one pass over its decoded samples."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import av
import numpy as np

from mediaq.media.child.container import open_media
from mediaq.media.child.levels import Levels
from mediaq.media.child.loudness import Loudness
from mediaq.media.child.refusal import Refusal
from mediaq.media.child.sound import FORMAT, Sound, sound_stream
from mediaq.media.child.soundpicture import draw_spectrogram, draw_waveform
from mediaq.media.child.spectrum import Spectrum
from mediaq.media.child.speech import RATE, Speech, detector

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.layout import AudioLayout
    from numpy.typing import NDArray

    from mediaq.media.child.entry import Tell

TELL_SECONDS = 0.5
# 24 dB above full scale, which float samples may reach.
LOUDEST = 16.0


def audio_analysis(job: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Measure the source's sound with the fields of ``mediaq.steps.audio_analysis.Heard``.

    ``keep_samples`` names a file below ``into`` for its 16 kHz mono samples, as 16 bit little
    endian; ``pictures`` asks for its waveform and spectrogram.
    """
    into = Path(job["into"])
    with open_media(job["source"], job["name"]) as container, ExitStack() as files:
        sound = Sound(container, sound_stream(container, job["name"]))
        samples = into / job["keep_samples"] if job["keep_samples"] else None
        heard = _Ear(sound, files.enter_context(samples.open("wb")) if samples else None)
        if job["pictures"]:
            heard.spectrum = Spectrum(sound.rate)
        heard.listen(tell)
        if not heard.samples:
            msg = f"{job['name']} has a sound stream, and nothing in it could be decoded"
            raise Refusal(msg)
        length = heard.samples / sound.rate
        pictures = _draw(heard, into, job["name"], length) if heard.spectrum else []
        speech = heard.speech and heard.speech.result(length, sound.start)
        return {
            "analysis": {
                "duration_seconds": round(length, 3),
                "start_seconds": sound.start,
                "sample_rate": sound.rate,
                "channels": sound.channels,
                "loudness": heard.loudness.result(),
                "silence": heard.levels.silence(length, sound.start),
                "speech": speech,
                "clipping": heard.levels.clipping(heard.samples * sound.channels),
                "damaged_packets": sound.damaged,
            },
            "pictures": pictures,
            "samples": str(samples) if samples else None,
        }


class _Ear:
    """Hands every block to all who listen."""

    def __init__(self, sound: Sound, into: BinaryIO | None) -> None:
        self._sound, self._into = sound, into
        self._mono = av.AudioResampler("s16", "mono", RATE)
        self.samples = 0
        self.levels = Levels(sound.window, sound.step)
        self.loudness = Loudness(sound)
        self.speech: Speech | None = detector()
        self.spectrum: Spectrum | None = None

    def listen(self, tell: Tell) -> None:
        """Listen to the end."""
        told, length = 0.0, self._sound.length
        for block in self._sound.blocks():
            self._hear(block)
            if (now := time.monotonic()) - told > TELL_SECONDS:
                told, at = now, self.samples / self._sound.rate
                tell(min(at / length, 0.99) if length else 0.0, f"listening at {at:.0f} s")
        self._take_mono(self._mono.resample(None) if self.samples else [])
        if self.samples:
            self.loudness.hear(None)
        if self.spectrum:
            self.spectrum.finish()

    def _hear(self, block: AudioFrame) -> None:
        packed = np.asarray(block.to_ndarray(), np.float32)
        samples = np.ascontiguousarray(packed.reshape(-1, self._sound.channels).T)
        if not np.abs(samples).max() <= LOUDEST:
            # What is no number, or louder than any sound, came out of a broken file.
            samples = np.clip(np.nan_to_num(samples), -LOUDEST, LOUDEST)
            block = _frame(samples, block.layout, self._sound.rate)
        block.pts = self.samples
        self.loudness.hear(block)
        self.levels.hear(samples)
        self.samples += samples.shape[1]
        # Two channels are meant to be heard as their mean; of many, most are silent mostly.
        parts = min(self._sound.channels, max(2.0, self._sound.channels**0.5))
        mix = samples.sum(axis=0, keepdims=True) / np.float32(parts)
        if self.spectrum:
            self.spectrum.hear(mix[0])
        mono = _frame(np.clip(mix, -1, 1), "mono", self._sound.rate)
        self._take_mono(self._mono.resample(mono))

    def _take_mono(self, frames: list[AudioFrame]) -> None:
        for frame in frames:
            mono = frame.to_ndarray()[0]
            if self._into:
                self._into.write(mono.astype("<i2").tobytes())
            if self.speech:
                self.speech.hear(mono.astype(np.float32) / 32768)


def _frame(samples: NDArray[np.float32], layout: AudioLayout | str, rate: int) -> AudioFrame:
    frame = av.AudioFrame.from_ndarray(samples.T.reshape(1, -1), FORMAT, layout)
    frame.sample_rate = rate
    return frame


def _draw(heard: _Ear, into: Path, title: str, length: float) -> list[dict[str, Any]]:
    assert heard.spectrum is not None  # noqa: S101 - asked by the caller
    return [
        draw_waveform(into / "waveform.png", heard.levels.outline.rows(), title, length),
        draw_spectrogram(into / "spectrogram.png", heard.spectrum, title, length),
    ]
