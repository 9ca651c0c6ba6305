"""A summary made of a text's own sentences, each with its place in it."""

from __future__ import annotations

import asyncio

from mediaq.kit import Kit, Step, Work
from mediaq.model import Made, MadeResult, Skip, Value

LEAST = 4
"""With fewer sentences a summary would be the text again."""


class Chosen(Value):
    """A sentence of the text: ``start`` and ``end`` point into the content of ``text_analysis``.

    ``score`` is its closeness to all that the text says, 0 to about 1.
    """

    start: int
    end: int
    text: str
    score: float


class Choice(Value):
    """The sentences chosen ``of`` so many."""

    sentences: tuple[Chosen, ...]
    of: int


class Summary(Choice):
    """The ``summary`` result."""

    method: str = "extractive: centroid with maximal marginal relevance"
    source: str = "text_analysis"


async def run(work: Work, kit: Kit) -> Made:
    """Choose sentences of the text that was found before."""
    text = work.texts.get("text_analysis", "")
    if not text.strip():
        why = f"there is no text of {work.title} to summarise"
        return Made(skipped=Skip(code="no_text", why=why))
    path = kit.workspace / "text.txt"
    await asyncio.to_thread(path.write_text, text, "utf-8")
    language = work.results["text_analysis"].get("language") or {}
    chosen = await kit.media.ask(
        "summary",
        path,
        Choice,
        title=work.title,
        progress=kit.progress,
        language=language.get("code"),
    )
    if chosen.of < LEAST or len(chosen.sentences) < 2 or len(chosen.sentences) >= chosen.of:  # noqa: PLR2004 - one sentence is none
        why = f"the text of {work.title} is too short: a summary would be the text again"
        return Made(skipped=Skip(code="too_short", why=why))
    summary = Summary(**chosen.model_dump())
    return Made(
        results=[
            MadeResult(
                result_type="summary",
                content=" ".join(sentence.text for sentence in chosen.sentences),
                content_json=summary.model_dump(mode="json"),
            )
        ]
    )


STEP = Step("summary", run, ("summary",))
