"""The work ``summary``: the sentences that say most of what a text says, each with its place."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediaq.media.child.language.sentences import Sentence, sentences, words
from mediaq.media.child.language.stopwords import stopwords

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_SENTENCES = 20_000
MOST, LEAST = 7, 3
# Shorter ones are headings, longer ones lists.
SHORT, LONG = 5, 60
# How much a sentence loses for repeating one that was taken
# (maximal marginal relevance, doi:10.1145/290941.291025).
REPEAT = 0.7
CANDIDATES = 200
# The first part of a text says more often what it is about.
OPENING = 0.1

Vector = dict[str, float]


def summary(job: dict[str, Any], tell: Callable[[float, str], None]) -> dict[str, Any]:
    """Summarise the text in the file ``source`` with its own sentences.

    The answer has the fields of ``mediaq.steps.summary.Summary``.
    """
    text = Path(job["source"]).read_text("utf-8")
    tell(0.0, "reading sentences")
    all_found = sentences(text, MAX_SENTENCES)
    chosen = choose(all_found, job["language"])
    kept = [
        {"start": one.start, "end": one.end, "text": " ".join(one.text.split()), "score": score}
        for one, score in chosen
    ]
    return {"sentences": kept, "of": len(all_found)}


def choose(cut: list[Sentence], language: str | None) -> list[tuple[Sentence, float]]:
    """Choose by closeness to the centroid of all.

    Radev et al. 2004, doi:10.1016/j.ipm.2003.10.006.
    The work grows with the length of the text, not with its square. Words that stand in many
    sentences weigh less, what was said already counts against a sentence, and the opening counts
    for it. Given in the order of the text.
    """
    stops = stopwords(language)
    bags = [
        Counter(w for word in words(one.text) if (w := word.lower()) not in stops and len(w) > 1)
        for one in cut
    ]
    lengths = [len(words(one.text)) for one in cut]
    spread: Counter[str] = Counter(word for bag in bags for word in bag)
    rarity = {word: math.log(1 + len(cut) / count) for word, count in spread.items()}
    vectors = [_unit({word: n * rarity[word] for word, n in bag.items()}) for bag in bags]
    centroid: Vector = {}
    for bag in bags:
        for word, n in bag.items():
            # What stands in one sentence only is the subject of no text.
            if spread[word] > 1:
                centroid[word] = centroid.get(word, 0.0) + n * rarity[word]
    centroid = _unit(centroid)
    scores: dict[int, float] = {}
    for i, vector in enumerate(vectors):
        if SHORT <= lengths[i] <= LONG:
            opening = OPENING * (1 - i / len(cut))
            scores[i] = _product(vector, centroid) + opening
    candidates = sorted(scores, key=lambda i: (-scores[i], i))[:CANDIDATES]
    wanted = min(MOST, max(LEAST, round(math.sqrt(len(cut)) / 2)))
    taken: list[int] = []
    while candidates and len(taken) < wanted:
        best = max(candidates, key=lambda i: (_worth(i, scores, vectors, taken), -i))
        taken.append(best)
        candidates.remove(best)
    return [(cut[i], round(scores[i], 4)) for i in sorted(taken)]


def _worth(i: int, scores: dict[int, float], vectors: list[Vector], taken: list[int]) -> float:
    said = max((_product(vectors[i], vectors[j]) for j in taken), default=0.0)
    return scores[i] - REPEAT * said * scores[i]


def _unit(vector: Vector) -> Vector:
    length = math.sqrt(sum(value * value for value in vector.values()))
    return {word: value / length for word, value in vector.items()} if length else {}


def _product(one: Vector, other: Vector) -> float:
    if len(one) > len(other):
        one, other = other, one
    return sum(value * other.get(word, 0.0) for word, value in one.items())
