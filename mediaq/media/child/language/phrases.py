"""Key phrases and names, found by how words stand together and how they are written."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from mediaq.media.child.language.sentences import WORD
from mediaq.media.child.language.stopwords import stopwords

SAMPLE = 1_000_000
MAX_PHRASES = 15
MAX_NAMES = 50
LONGEST = 4
SHORTEST = 3
ADDRESS = re.compile(r"\b(?:https?://|www\.)\S+|\S+@\S+", re.IGNORECASE)
BREAK = re.compile(r"[^\w\s'\u2019-]|\d+|\t")
CAPITALS = re.compile(
    r"\b[A-ZÀ-ÖØ-Þ][\w'\u2019-]+(?:\s+(?:(?:de|von|van|der|den|la|le|of|the|del|di|da|dos)\s+){0,2}"
    r"[A-ZÀ-ÖØ-Þ][\w'\u2019.-]*[\w])+"
)
SINGLE = re.compile(r"(?<=[\w,;] )[A-ZÀ-ÖØ-Þ][a-zà-öø-ÿ]{2,}\b")


def key_phrases(sentences: list[str], language: str | None) -> list[dict[str, object]]:
    """Rank phrases between stop words by degree and frequency of their words.

    RAKE (Rose et al. 2010, doi:10.1002/9780470689646.ch1), with phrases of four words at most; a
    phrase of the text that stands there once counts less than one that comes again.
    """
    stops = stopwords(language)
    phrases: Counter[tuple[str, ...]] = Counter()
    written: dict[tuple[str, ...], str] = {}
    for piece in _pieces(sentences):
        phrase: list[str] = []
        for word in (*WORD.findall(piece), None):
            lower = word.lower() if word else ""
            if word is None or lower in stops or len(word) < SHORTEST:
                if 0 < len(phrase) <= LONGEST:
                    key = tuple(part.lower() for part in phrase)
                    phrases[key] += 1
                    written.setdefault(key, " ".join(phrase))
                phrase = []
            else:
                phrase.append(word)
    frequency: Counter[str] = Counter()
    degree: Counter[str] = Counter()
    for phrase_words, count in phrases.items():
        for word in phrase_words:
            frequency[word] += count
            degree[word] += count * len(phrase_words)
    scores = {
        key: sum(degree[w] / frequency[w] for w in key) * math.sqrt(count) * _spread(key, frequency)
        for key, count in phrases.items()
        if count > 1 or len(key) > 1
    }
    best = sorted(scores, key=lambda key: (-scores[key], key))
    kept: list[tuple[str, ...]] = []
    for key in best:
        # Part of one that was taken already, or the other way round.
        if not any(set(key) <= set(other) or set(other) <= set(key) for other in kept):
            kept.append(key)
        if len(kept) == MAX_PHRASES:
            break
    return [
        {"text": written[key], "count": phrases[key], "score": round(scores[key], 3)}
        for key in kept
    ]


def _pieces(sentences: list[str]) -> Iterator[str]:
    """Cut sentences where no phrase goes on, up to so many letters in all."""
    room = SAMPLE
    for sentence in sentences:
        yield from BREAK.split(ADDRESS.sub(". ", sentence))
        room -= len(sentence)
        if room < 0:
            return


def _spread(key: tuple[str, ...], frequency: Counter[str]) -> float:
    """Prefer words that the text comes back to."""
    mean = sum(frequency[word] for word in key) / len(key)
    return math.sqrt(mean)


def names(sentences: list[str], language: str | None) -> list[dict[str, object]]:
    """Find names by their capitals: of several words, or of one that begins no sentence.

    In German every noun has a capital, so a single word tells nothing there.
    """
    stops = stopwords(language)
    counts: Counter[str] = Counter()
    for piece in (piece for sentence in sentences for piece in sentence.split("\t")):
        flat = " ".join(ADDRESS.sub(".", piece).split())
        if flat.isupper():
            continue
        taken = set()
        for found in CAPITALS.finditer(flat):
            parts = found[0].split()
            while parts and (parts[0].lower() in stops or parts[0].islower()):
                parts = parts[1:]
            if len(parts) > 1:
                counts[" ".join(parts)] += 1
                taken.update(parts)
        if language not in {"de", "lb"}:
            single = (word for word in SINGLE.findall(flat) if word.lower() not in stops)
            counts.update(word for word in single if word not in taken)
    kept = [
        (name, count)
        for name, count in counts.most_common(4 * MAX_NAMES)
        if " " in name or count > 1
    ]
    return [{"text": name, "count": count} for name, count in kept[:MAX_NAMES]]
