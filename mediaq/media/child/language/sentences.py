"""A text cut into words and sentences, each with its place in it."""

from __future__ import annotations

import re
from dataclasses import dataclass

WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
# Where a sentence may end: its sign, quotes and brackets that close, then a blank or the end; in
# Chinese and Japanese the sign is enough. An empty line ends one in any case.
END = re.compile(r"[.!?…]+[\"'”\u2019»)\]]*(?=\s|$)|[。\uff01\uff1f]+[」』”]*|\n[ \t]*\n")
_ABBREVIATIONS = (
    "mr mrs ms dr prof sr jr st vs etc e.g i.e eg ie cf al fig figs nos vol pp p ed eds inc ltd "
    "co corp dept approx est jan feb mar apr jun jul aug sep sept oct nov dec bzw ca usw d.h "
    "z.b u.a s nr abs str hr fr m mme mlle av chap art sra ud"
)
ABBREVIATIONS = frozenset(_ABBREVIATIONS.split())
# A heading or list item without an end; joined lines of this length are no sentence.
LONGEST = 2000
# A line this much shorter than most full lines of the text stands alone.
HEADING = 0.6
FULL = 0.8
LEAST_FULL = 40


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and where it stands."""

    start: int
    end: int
    text: str


def words(text: str) -> list[str]:
    """Give the words as they are written."""
    return WORD.findall(text)


def sentences(text: str, most: int) -> list[Sentence]:
    """Cut ``text`` into sentences, ``most`` of them at most."""
    found: list[Sentence] = []
    start = 0
    ends = {m.end() for m in END.finditer(text) if _ends(text, m)} | _headings(text)
    for stop in (*sorted(ends), len(text)):
        piece = text[start:stop]
        for sentence in _trimmed(piece, start):
            found.append(sentence)
            if len(found) >= most:
                return found
        start = stop
    return found


def _ends(text: str, sign: re.Match[str]) -> bool:
    """Tell an end from the point of an abbreviation, an initial or a number."""
    if not sign[0].startswith("."):
        return True
    before = text[max(0, sign.start() - 12) : sign.start()].rpartition(" ")[2].rpartition("\n")[2]
    word = before.lstrip("(\"'“„«[").lower()
    following = text[sign.end() : sign.end() + 3].strip()
    if word == "no" and following[:1].isdigit():
        return False
    if word in ABBREVIATIONS or (len(word) == 1 and word.isalpha()):
        return False
    if word.isdigit() and len(word) < 3:  # noqa: PLR2004 - the 3. of a date or a list
        return False
    return not (following and following[0].islower())


def _headings(text: str) -> set[int]:
    """Find where lines end that stand alone: shorter than others, without a sign."""
    found: set[int] = set()
    place = 0
    lines = text.splitlines(keepends=True)
    lengths = sorted(len(line.strip()) for line in lines if line.strip()) or [0]
    full = max(LEAST_FULL, lengths[int(FULL * (len(lengths) - 1))])
    for line, following in zip(lines, [*lines[1:], ""], strict=False):
        place += len(line)
        own, after = line.strip(), following.strip()
        alone = (
            len(own) < HEADING * full and own[-1:] not in ".,;:-\u2013—" and not after[:1].islower()
        )
        # The rows of a table stand alone too.
        if own and (alone or "\t" in own):
            found.add(place)
    return found


def _trimmed(piece: str, start: int) -> list[Sentence]:
    own = piece.strip()
    if not any(letter.isalnum() for letter in own):
        return []
    begin = start + piece.index(own[0])
    if len(own) <= LONGEST:
        return [Sentence(begin, begin + len(own), own)]
    # Lines of a table or a list: each is its own.
    found, place = [], begin
    for line in own.splitlines(keepends=True):
        text = line.strip()
        if text:
            at = place + line.index(text[0])
            found.append(Sentence(at, at + min(len(text), LONGEST), text[:LONGEST]))
        place += len(line)
    return found
