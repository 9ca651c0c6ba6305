"""What is said, with times: a transcript, and subtitles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Literal

from mediaq.errors import Rejected
from mediaq.kit import Kit, Step, Work
from mediaq.media.subtitles import Spoken, cues, plain, srt, vtt
from mediaq.model import Made, MadeFile, MadeResult, Skip, Value
from mediaq.steps import audio_analysis
from mediaq.steps.audio_analysis import AudioAnalysis

SUBTITLES: tuple[tuple[str, str, Callable[[Iterable[Spoken]], str]], ...] = (
    ("srt", "application/x-subrip", srt),
    ("vtt", "text/vtt", vtt),
)


class Word(Value):
    """One word with the space before it; ``probability`` is the model's."""

    start: float
    end: float
    text: str
    probability: float


class Segment(Value):
    """A sentence or so; ``confidence`` is the geometric mean of its tokens' probabilities."""

    start: float
    end: float
    text: str
    confidence: float
    no_speech_probability: float
    words: tuple[Word, ...]


class Said(Value):
    """What the child wrote down; ``left_out`` counts segments that were taken for imagined."""

    model: str | None
    language: str | None
    language_probability: float | None
    segments: tuple[Segment, ...]
    left_out: int
    confidence: float | None


class Transcription(Said):
    """The result; empty where nobody speaks, and then no ``model`` was asked.

    ``language_probability`` is None where the language was given. ``confidence`` comes from the
    log-probabilities of all tokens.
    """

    duration_seconds: float
    confidence_method: Literal["logprob"] | None


NOTHING = Said(
    model=None,
    language=None,
    language_probability=None,
    segments=(),
    left_out=0,
    confidence=None,
)


async def run(work: Work, kit: Kit) -> Made:
    """Write down what is said, where the analysis heard somebody speak."""
    if work.results.get("audio_analysis") is None:
        why = f"{work.title} has no sound that can be heard"
        return Made(skipped=Skip(code="no_audio", why=why))
    analysis = work.result("audio_analysis", AudioAnalysis)
    if analysis.speech is not None and not analysis.speech.seconds:
        return await _made(kit, NOTHING, analysis)
    try:
        said = await kit.media.ask(
            "transcription",
            await _samples(work, kit),
            Said,
            title=work.title,
            progress=kit.progress,
            at_least=analysis.duration_seconds,
            language=work.request.options.language,
            start=analysis.start_seconds,
        )
    except Rejected as refusal:
        code = refusal.details.get("skip")
        if not isinstance(code, str):
            raise
        return Made(skipped=Skip(code=code, why=refusal.message))
    return await _made(kit, said, analysis)


async def _samples(work: Work, kit: Kit) -> Path:
    """Find the samples that the analysis left; an attempt that goes on after it listens again."""
    kept = kit.workspace.parent / audio_analysis.STEP.name / audio_analysis.SAMPLES
    if kept.exists():
        return kept
    heard = await audio_analysis.listen(work, kit, keep_samples=True, pictures=False)
    assert heard.samples is not None  # noqa: S101 - they were asked for
    return heard.samples


async def _made(kit: Kit, said: Said, analysis: AudioAnalysis) -> Made:
    told = Transcription(
        **dict(said),
        duration_seconds=analysis.duration_seconds,
        confidence_method=None if said.confidence is None else "logprob",
    )
    text = plain(Spoken(one.start, one.end, one.text) for one in said.segments)
    score = None if said.confidence is None else Decimal(str(said.confidence))
    return Made(
        files=await _files(kit, said, text) if said.segments else (),
        results=[
            MadeResult(
                result_type="transcription",
                model_name=said.model,
                content=text,
                content_json=told.model_dump(mode="json"),
                confidence_score=score,
            )
        ],
    )


async def _files(kit: Kit, said: Said, text: str) -> list[MadeFile]:
    lines = list(cues(_words(said.segments)))
    texts = [("txt", "text/plain", f"{text}\n")]
    texts += [(form, mime_type, write(lines)) for form, mime_type, write in SUBTITLES]
    return [
        await _stored(kit, f"transcript.{form}", mime_type, content, said.language)
        for form, mime_type, content in texts
    ]


async def _stored(
    kit: Kit, name: str, mime_type: str, content: str, language: str | None
) -> MadeFile:
    path = kit.workspace / name
    await asyncio.to_thread(path.write_text, content, encoding="utf-8")
    return MadeFile(
        name=name,
        file_type="transcription",
        stored=await kit.storage.put(path, f"{kit.outputs}/{name}"),
        mime_type=mime_type,
        metadata={"language": language},
    )


def _words(segments: Iterable[Segment]) -> Iterator[Spoken]:
    for segment in segments:
        for piece in segment.words or (segment,):
            yield Spoken(piece.start, piece.end, piece.text)


STEP = Step("transcription", run, ("transcription",))
