"""The work ``text_analysis``: language, reading figures, key phrases, names and links of a text."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediaq.media.child.language.phrases import key_phrases, names
from mediaq.media.child.language.sentences import sentences, words

if TYPE_CHECKING:
    from collections.abc import Callable

# Silent reading of English prose: Brysbaert 2019, doi:10.1016/j.jml.2019.104047.
WORDS_PER_MINUTE = 238
# Han and kana have no blanks; a reader takes about so many a minute.
SIGNS_PER_MINUTE = 400
SIGNS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
VOWELS = {
    "en": re.compile(r"[aeiouy]+"),
    "de": re.compile(r"(?:ei|ai|au|äu|eu|ie|[aeiouyäöü])"),
}
LINK = re.compile(r"\b(?:https?://|www\.)[^\s<>\"'\[\]{}|\\^`]+", re.IGNORECASE)
MAIL = re.compile(r"\b[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}\b")
MAX_FOUND = 200
MAX_SENTENCES = 50_000
SAMPLE = 100_000
# With fewer letters, or less sure of it, no language is told.
LEAST_LETTERS = 20
LEAST_SURE = 0.6
LEAST_WORDS_TO_JUDGE = 100


def text_analysis(job: dict[str, Any], tell: Callable[[float, str], None]) -> dict[str, Any]:
    """Analyse the text in the file ``source``.

    The answer has the fields of ``mediaq.steps.text_analysis.Findings``.
    """
    text = Path(job["source"]).read_text("utf-8")
    tell(0.0, "telling the language")
    language = _language(text, job["language"])
    code = language["code"] if language else None
    tell(0.3, "counting words and sentences")
    cut = [one.text for one in sentences(text, MAX_SENTENCES)]
    tell(0.6, "looking for phrases and names")
    return {
        "language": language,
        "reading": _reading(text, cut, code),
        "key_phrases": key_phrases(cut, code),
        "names": names(cut, code),
        "links": _found(match.rstrip(".,;:!?)") for match in LINK.findall(text)),
        "emails": _found(match.lower() for match in MAIL.findall(text)),
    }


def _language(text: str, told: str | None) -> dict[str, Any] | None:
    """Take the language that was told, or tell it by letters; None when that is not sure."""
    if told is not None:
        return {"code": told, "probability": None, "method": "told"}
    letters = sum(letter.isalpha() for letter in text[:SAMPLE])
    if letters < LEAST_LETTERS or importlib.util.find_spec("py3langid") is None:
        return None
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    code, probability = identifier.classify(text[:SAMPLE])
    if float(probability) < LEAST_SURE:
        return None
    return {"code": code, "probability": round(float(probability), 4), "method": "py3langid"}


def _reading(text: str, cut: list[str], language: str | None) -> dict[str, Any]:
    """Count, and say how long reading takes and how easy it is."""
    all_words = words(text)
    signs = len(SIGNS.findall(text))
    # What is written in signs without blanks is not counted in words.
    counted = [word for word in all_words if not SIGNS.search(word)]
    prose = [len(found) for sentence in cut if (found := words(sentence))]
    minutes = len(counted) / WORDS_PER_MINUTE + signs / SIGNS_PER_MINUTE
    return {
        "characters": len(text),
        "words": len(counted),
        "signs": signs,
        "sentences": len(prose),
        "paragraphs": sum(bool(one.strip()) for one in re.split(r"\n\s*\n", text)),
        "words_per_sentence": round(sum(prose) / len(prose), 1) if prose else 0.0,
        "different_words": len({word.lower() for word in counted}),
        "minutes": round(minutes, 1),
        "ease": _ease(counted, len(prose), language),
    }


def _ease(all_words: list[str], count: int, language: str | None) -> dict[str, Any] | None:
    """Flesch's reading ease (1948), for German with Amstad's numbers (1978); 100 is very easy."""
    vowels = VOWELS.get(language or "")
    if vowels is None or len(all_words) < LEAST_WORDS_TO_JUDGE or not count:
        return None
    length = len(all_words) / count
    syllables = sum(_syllables(word.lower(), vowels, language) for word in all_words)
    per_word = syllables / len(all_words)
    if language == "de":
        return {"score": round(180 - length - 58.5 * per_word, 1), "formula": "Amstad 1978"}
    score = 206.835 - 1.015 * length - 84.6 * per_word
    return {"score": round(score, 1), "formula": "Flesch 1948"}


def _syllables(word: str, vowels: re.Pattern[str], language: str | None) -> int:
    count = len(vowels.findall(word))
    if language == "en" and word.endswith("e") and not word.endswith(("le", "ee")):
        count -= 1
    return max(1, count)


def _found(all_found: Any) -> list[str]:  # noqa: ANN401 - any iterable of texts
    """Give each once, those that stand there most often first."""
    return [one for one, _ in Counter(all_found).most_common(MAX_FOUND)]
