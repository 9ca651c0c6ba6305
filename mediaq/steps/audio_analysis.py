"""Loudness, silences, speech and clipping of a sound, with its waveform and spectrogram."""

from __future__ import annotations

from pathlib import Path

from mediaq import pictures
from mediaq.errors import Rejected
from mediaq.kit import Kit, Step, Work
from mediaq.model import Made, MadeResult, Picture, Probe, Skip, Value

SAMPLES = "speech.s16"
USES_SAMPLES = frozenset({"transcription", "summary", "classification"})


class Span(Value):
    """A stretch of time, in seconds from the beginning of the file."""

    start: float
    end: float


class Loudness(Value):
    """EBU R128: LUFS, LU and dBTP; None where the sound is too short or too quiet to tell."""

    integrated_lufs: float | None
    range_lu: float | None
    true_peak_dbtp: float | None
    max_momentary_lufs: float | None
    max_short_term_lufs: float | None


class Spans(Value):
    """Stretches of time and what they add up to; ``more_spans`` are counted and not listed."""

    spans: tuple[Span, ...]
    seconds: float
    share: float
    more_spans: int


class Silence(Spans):
    """Where no channel rises above ``threshold_dbfs`` for ``shortest_seconds`` or longer."""

    threshold_dbfs: float
    shortest_seconds: float


class Speech(Spans):
    """Where the detector hears somebody speak, from probability ``threshold`` on."""

    threshold: float
    method: str


class Clipping(Value):
    """How often the samples stand at full scale, and which share of all they are."""

    events: int
    share: float
    method: str


class AudioAnalysis(Value):
    """What was measured; ``start_seconds`` is when the sound begins in a file with pictures.

    ``speech`` is None where no detector is installed.
    """

    duration_seconds: float
    start_seconds: float
    sample_rate: int
    channels: int
    loudness: Loudness
    silence: Silence
    speech: Speech | None
    clipping: Clipping
    damaged_packets: int


class Heard(Value):
    """What the child made: the analysis, and files in the workspace."""

    analysis: AudioAnalysis
    pictures: tuple[Picture, ...]
    samples: Path | None


async def run(work: Work, kit: Kit) -> Made:
    """Listen to the whole sound once."""
    if work.result("metadata_extraction", Probe).audio_codec is None:
        return Made(skipped=Skip(code="no_audio", why=f"{work.title} has no sound"))
    want = work.request.options.want
    try:
        heard = await listen(
            work,
            kit,
            keep_samples=want is None or not USES_SAMPLES.isdisjoint(want),
            pictures=work.kind.media_type == "audio",
        )
    except Rejected as refusal:
        if work.kind.media_type == "audio":
            raise
        # The pictures are worth seeing although the sound cannot be heard.
        return Made(skipped=Skip(code="unreadable_audio", why=refusal.message))
    files = await pictures.store_all(
        kit,
        {"preview": heard.pictures},
        lambda picture: {"metadata": {"shows": picture.path.stem}},
    )
    return Made(
        files=files,
        results=[
            MadeResult(
                result_type="audio_analysis",
                content=describe(heard.analysis),
                content_json=heard.analysis.model_dump(mode="json"),
            )
        ],
    )


async def listen(work: Work, kit: Kit, *, keep_samples: bool, pictures: bool) -> Heard:
    """Have the child measure the sound; it may take a tenth of what the sound lasts."""
    length = work.result("metadata_extraction", Probe).duration_seconds or 0.0
    return await kit.media.ask(
        "audio_analysis",
        work.source,
        Heard,
        title=work.title,
        progress=kit.progress,
        at_least=length / 10,
        into=str(kit.workspace),
        keep_samples=SAMPLES if keep_samples else None,
        pictures=pictures,
    )


def describe(found: AudioAnalysis) -> str:
    """Say in a few sentences what was measured."""
    loudness, silence, speech = found.loudness, found.silence, found.speech
    told = [f"{found.duration_seconds:.1f} s of sound."]
    if loudness.integrated_lufs is None:
        told.append("It is too quiet or too short for a measure of loudness.")
    else:
        peak = loudness.true_peak_dbtp
        told.append(
            f"Loudness {loudness.integrated_lufs:.1f} LUFS, range {loudness.range_lu:.1f} LU"
            + (f", true peak {peak:.1f} dBTP." if peak is not None else ".")
        )
    if speech is not None:
        told.append(
            f"Speech in {speech.share:.0%} of the time." if speech.seconds else "No speech."
        )
    count = len(silence.spans) + silence.more_spans
    if count:
        spans = "1 silence" if count == 1 else f"{count} silences"
        told.append(f"{spans} of {silence.seconds:.1f} s together.")
    if found.clipping.events:
        told.append(f"It is clipped in {found.clipping.events} places.")
    if found.damaged_packets:
        told.append(f"{found.damaged_packets} damaged packets were left out.")
    return " ".join(told)


STEP = Step("audio_analysis", run, ("audio_analysis",))
