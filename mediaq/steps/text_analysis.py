"""The text of a document or of what was spoken, and what can be told of it without a model.

The result's ``content`` is the text itself; every offset in its ``content_json`` points into it.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Literal

from mediaq.kit import Kit, Step, Work
from mediaq.model import Made, MadeFile, MadeResult, Skip, Value


class Part(Value):
    """A page, slide, sheet or other part: where it stands in the text, and how it was read.

    ``confidence`` is the mean score of the recogniser over the letters it read.
    """

    number: int
    start: int
    end: int
    method: Literal["text", "ocr"]
    title: str | None = None
    confidence: float | None = None


class Table(Value):
    """A table that the format marks as one, with its first row."""

    place: str
    rows: int
    columns: int
    header: tuple[str, ...]


class Reading(Value):
    """What was read of a document; ``missing`` says which program was not there to read it all."""

    path: Path
    characters: int
    part: str
    parts: tuple[Part, ...]
    links: tuple[str, ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    missing: str | None = None


class Language(Value):
    """The language by ISO 639: told by whoever asked, or by the letters, with its probability."""

    code: str
    probability: float | None
    method: Literal["told", "py3langid"]


class Ease(Value):
    """How easy a text is to read, by a named formula; 100 is very easy, 0 very hard."""

    score: float
    formula: str


class Figures(Value):
    """Counts; ``signs`` are those of Chinese and Japanese, ``minutes`` what reading takes."""

    characters: int
    words: int
    signs: int
    sentences: int
    paragraphs: int
    words_per_sentence: float
    different_words: int
    minutes: float
    ease: Ease | None


class Phrase(Value):
    """A key phrase with how often it stands there and its rank's score."""

    text: str
    count: int
    score: float


class Name(Value):
    """What is written like a name, and how often."""

    text: str
    count: int


class Findings(Value):
    """What was found in a text; ``language`` is None when that is not sure."""

    language: Language | None
    reading: Figures
    key_phrases: tuple[Phrase, ...]
    names: tuple[Name, ...]
    links: tuple[str, ...]
    emails: tuple[str, ...]


class TextAnalysis(Findings):
    """The ``text_analysis`` result; ``tables`` are told where the format marks them."""

    source: Literal["document", "transcription"]
    part: str | None = None
    parts: tuple[Part, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    confidence_method: Literal["detector"] | None = None


async def run(work: Work, kit: Kit) -> Made:
    """Read the text, store it, and look at it."""
    if work.kind.media_type != "document":
        return await _of_speech(work, kit)
    read = await kit.media.ask(
        "document_text",
        work.source,
        Reading,
        title=work.title,
        progress=lambda part, doing: kit.progress(part * 0.9, doing),
        into=str(kit.workspace),
        form=work.kind.form,
    )
    if not read.characters:
        if read.missing:
            return Made(skipped=Skip(code="not_installed", why=read.missing))
        why = " ".join([f"no text was found in {work.title}", *read.notes])
        return Made(skipped=Skip(code="no_text", why=why))
    text = await asyncio.to_thread(read.path.read_text, "utf-8")
    found = await _analyse(work, kit, read.path)
    sure = _sure(read.parts)
    whole = TextAnalysis(
        **found.model_dump(exclude={"links"}),
        # Those that the format marks, then those that only stand in the text.
        links=tuple(dict.fromkeys([*read.links, *found.links])),
        source="document",
        part=read.part,
        parts=read.parts,
        tables=read.tables,
        notes=read.notes,
        confidence_method=None if sure is None else "detector",
    )
    stored = MadeFile(
        name="text.txt",
        file_type="document",
        stored=await kit.storage.put(read.path, f"{kit.outputs}/text.txt"),
        mime_type="text/plain; charset=utf-8",
        sequence_order=1,
    )
    return Made(files=[stored], results=[_result(text, whole, sure)])


async def _of_speech(work: Work, kit: Kit) -> Made:
    """Analyse what was spoken; the transcription keeps its own files."""
    text = work.texts.get("transcription", "")
    if not text.strip():
        why = f"nothing that is spoken in {work.title} was written down"
        return Made(skipped=Skip(code="no_text", why=why))
    path = kit.workspace / "text.txt"
    await asyncio.to_thread(path.write_text, text, "utf-8")
    found = await _analyse(work, kit, path)
    whole = TextAnalysis(**found.model_dump(), source="transcription")
    return Made(results=[_result(text, whole, None)])


async def _analyse(work: Work, kit: Kit, path: Path) -> Findings:
    return await kit.media.ask(
        "text_analysis",
        path,
        Findings,
        title=work.title,
        progress=lambda part, doing: kit.progress(0.9 + part * 0.1, doing),
        # Its model is unpacked in a temporary file.
        into=str(kit.workspace),
        language=work.request.options.language,
    )


def _result(text: str, whole: TextAnalysis, sure: Decimal | None) -> MadeResult:
    return MadeResult(
        result_type="text_analysis",
        content=text,
        content_json=whole.model_dump(mode="json", exclude_none=True),
        confidence_score=sure,
    )


def _sure(parts: tuple[Part, ...]) -> Decimal | None:
    """The recogniser's mean score over all letters it read; None when it read none."""
    scores = [(part.confidence, part.end - part.start) for part in parts if part.confidence]
    letters = sum(length for _, length in scores)
    if not letters:
        return None
    return Decimal(str(round(sum(score * length for score, length in scores) / letters, 4)))


STEP = Step("text_analysis", run, ("text_analysis",))
