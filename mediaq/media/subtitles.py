"""Subtitles out of words with times: SubRip, WebVTT and plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

LINE_LETTERS = 42
CUE_LETTERS = 2 * LINE_LETTERS
CUE_SECONDS = 6.0
PAUSE_SECONDS = 1.0
PARAGRAPH_SECONDS = 2.0
ENDS = (".", "!", "?", "…", "。", "！", "？")  # noqa: RUF001 - the marks of other scripts


@dataclass(frozen=True, slots=True)
class Spoken:
    """A piece of speech, a word or more, with its times in seconds."""

    start: float
    end: float
    text: str


def cues(words: Iterable[Spoken]) -> Iterator[Spoken]:
    """Group words into what fits on a screen: two lines, six seconds, no long pause inside.

    A sentence that ends begins a new one, unless it was short.
    """
    now: list[Spoken] = []
    for word in words:
        if now and _full(now, word):
            yield _joined(now)
            now = []
        now.append(word)
    if now:
        yield _joined(now)


def _full(now: Sequence[Spoken], word: Spoken) -> bool:
    text = _text(now)
    return (
        word.start - now[-1].end > PAUSE_SECONDS
        or word.end - now[0].start > CUE_SECONDS
        or len(text) + len(word.text) > CUE_LETTERS
        or (text.endswith(ENDS) and len(text) > LINE_LETTERS // 2)
    )


def _text(words: Sequence[Spoken]) -> str:
    return " ".join("".join(word.text for word in words).split())


def _joined(words: Sequence[Spoken]) -> Spoken:
    return Spoken(words[0].start, max(words[-1].end, words[0].start + 0.001), _text(words))


def srt(told: Iterable[Spoken]) -> str:
    """Write SubRip."""
    return "\n".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{_lines(cue.text)}\n"
        for number, cue in enumerate(told, start=1)
    )


def vtt(told: Iterable[Spoken]) -> str:
    """Write WebVTT (https://www.w3.org/TR/webvtt1/), in which ``&`` and ``<`` mean something."""
    blocks = ["WEBVTT\n"]
    for cue in told:
        text = cue.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        blocks.append(f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{_lines(text)}\n")
    return "\n".join(blocks)


def plain(segments: Iterable[Spoken]) -> str:
    """Write running text; a long pause begins a paragraph."""
    paragraphs: list[list[str]] = []
    end = float("-inf")
    for segment in segments:
        if segment.start - end > PARAGRAPH_SECONDS:
            paragraphs.append([])
        paragraphs[-1].append(segment.text)
        end = segment.end
    return "\n\n".join(" ".join(paragraph) for paragraph in paragraphs)


def _lines(text: str) -> str:
    """Break into two lines of about the same length where one is too long."""
    if len(text) <= LINE_LETTERS:
        return text
    width = max(len(text) // 2 + 4, 1)
    return "\n".join(textwrap.wrap(text, min(max(width, LINE_LETTERS // 2), CUE_LETTERS)))


def _clock(seconds: float, point: str) -> str:
    thousandths = round(max(0.0, seconds) * 1000)
    whole, rest = divmod(thousandths, 1000)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}{point}{rest:03}"
