"""What is told of a text: sentences with their places, figures, phrases, names, a summary."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediaq.media.child.language import summary
from mediaq.media.child.language.phrases import key_phrases, names
from mediaq.media.child.language.sentences import sentences, words
from mediaq.media.local import LocalMedia
from mediaq.steps.summary import Choice
from mediaq.steps.text_analysis import Findings
from tests import papers


def cut(text: str) -> list[str]:
    found = sentences(text, 10_000)
    for one in found:
        assert text[one.start : one.end] == one.text
    return [" ".join(one.text.split()) for one in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It rained. We stayed.", ["It rained.", "We stayed."]),
        ("Dr. Quill met J. Smith at 5 p.m. on Monday.", 1),
        ("It cost 3.50 euros, i.e. too much. Really?", 2),
        ("Am 3. Mai kam sie z.B. nach Köln. Er nicht.", 2),
        ('He said "No." Then he left!', 2),
        ("Line one goes\non here. Two.", ["Line one goes on here.", "Two."]),
        ("A heading\n\nA sentence without an end", ["A heading", "A sentence without an end"]),
        ("Chapter 1\nThe harbour was rebuilt after the storm.", 2),
        ("港は再建された。船が戻った。", ["港は再建された。", "船が戻った。"]),
        ("Boat\tCrates\nAnna\t12\n", ["Boat Crates", "Anna 12"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_a_text_is_cut_into_sentences(text: str, expected: list[str] | int) -> None:
    found = cut(text)
    assert (len(found) if isinstance(expected, int) else found) == expected


def test_words_keep_their_apostrophes_and_hyphens() -> None:
    assert words("Don't re-use 42 naïve words") == ["Don't", "re-use", "naïve", "words"]


def test_key_phrases_are_what_a_text_comes_back_to() -> None:
    phrases = key_phrases(cut(papers.PROSE), "en")
    texts = [str(one["text"]).lower() for one in phrases]
    assert "martha quill" in texts
    assert any("fishing boats" in text for text in texts)
    assert any("harbour wall" in text for text in texts)
    assert not [text for text in texts if "the" in text.split() or "example" in text]


def test_names_are_told_by_their_capitals() -> None:
    found = {one["text"]: one["count"] for one in names(cut(papers.PROSE), "en")}
    assert found == {"Port Ellery": 2, "Martha Quill": 2}


def test_nouns_of_german_are_no_names() -> None:
    text = "Der Hafen und die Boote. Wir sahen den Hafen, die Boote und Anna Meier im Hafen."
    assert [one["text"] for one in names(cut(text), "de")] == ["Anna Meier"]


async def analysed(media: LocalMedia, folder: Path, text: str, told: str | None = None) -> Findings:
    path = folder / "text.txt"
    path.write_text(text, "utf-8")
    return await media.ask(
        "text_analysis", path, Findings, title="a.txt", into=str(path.parent), language=told
    )


async def test_figures_are_counted(media: LocalMedia, tmp_path: Path) -> None:
    found = await analysed(media, tmp_path, papers.PROSE)
    figures = found.reading
    assert (figures.sentences, figures.paragraphs) == (8, 1)
    assert figures.words == len(words(papers.PROSE))
    assert figures.minutes == round(figures.words / 238, 1)
    assert figures.ease is not None
    assert figures.ease.formula == "Flesch 1948"
    assert 50 < figures.ease.score < 90
    assert found.links == ("https://museum.example/diary",)
    assert found.emails == ("desk@museum.example",)


SAMPLES = {
    "en": papers.PROSE,
    "de": "Der Hafen wurde nach dem großen Sturm neu gebaut. Die Fischer kehren am Abend zurück.",
    "fr": "Le port a été reconstruit après la grande tempête. Les pêcheurs reviennent le soir.",
    "es": "El puerto fue reconstruido después de la gran tormenta. Los barcos vuelven de noche.",
    "ru": "Гавань была восстановлена после большого шторма. Рыбаки возвращаются вечером.",
    "ja": "港は大きな嵐の後に再建されました。漁師たちは夕方に戻ります。",
}


@pytest.mark.parametrize("code", SAMPLES)
async def test_the_language_is_told_with_its_probability(
    media: LocalMedia, tmp_path: Path, code: str
) -> None:
    language = (await analysed(media, tmp_path, SAMPLES[code])).language
    assert language is not None
    assert (language.code, language.method) == (code, "py3langid")
    assert 0.6 <= (language.probability or 0) <= 1


async def test_a_language_is_not_guessed_from_a_few_letters(
    media: LocalMedia, tmp_path: Path
) -> None:
    assert (await analysed(media, tmp_path, "OK 4711")).language is None
    told = (await analysed(media, tmp_path, "OK 4711", "nl")).language
    assert told is not None
    assert (told.code, told.method, told.probability) == ("nl", "told", None)


SUBJECT = "The old bridge carries the railway over the river."
FILLER = [
    "Some people like tea in the morning.",
    "A cat slept on a chair near the stove.",
    "Clouds came from the west at noon.",
    "The shop sold nails and paint.",
]


def test_a_summary_takes_what_most_sentences_speak_of_once() -> None:
    about = [
        SUBJECT,
        "Engineers found cracks in the bridge and closed the railway.",
        "The river washed stones from below the bridge.",
        "Repairs of the bridge will cost the railway four million.",
    ]
    text = " ".join([*about[:2], *FILLER[:2], *about[2:], SUBJECT, *FILLER[2:]])
    chosen = [one.text for one, _ in summary.choose(sentences(text, 100), "en")]
    assert len(chosen) == 3
    assert set(chosen) <= set(about)
    assert chosen == [one for one in cut(text) if one in chosen][: len(chosen)]


async def test_the_places_of_a_summary_point_into_the_text(
    media: LocalMedia, tmp_path: Path
) -> None:
    path = tmp_path / "text.txt"
    text = "\n\n".join([papers.PROSE, *FILLER])
    path.write_text(text, "utf-8")
    choice = await media.ask("summary", path, Choice, title="a.txt", language="en")
    assert choice.of == 12
    assert [text[one.start : one.end] for one in choice.sentences] == [
        one.text for one in choice.sentences
    ]


async def test_a_long_text_takes_time_in_step_with_its_length(
    media: LocalMedia, tmp_path: Path
) -> None:
    """Two million characters within the time limit of the fixture."""
    lines = [f"{papers.PARAGRAPHS[i % 8][:-1]} in chapter {i}." for i in range(24_000)]
    path = tmp_path / "text.txt"
    path.write_text(" ".join(lines)[:2_000_000], "utf-8")
    choice = await media.ask("summary", path, Choice, title="a.txt", language="en")
    assert len(choice.sentences) == summary.MOST
    found = await media.ask("text_analysis", path, Findings, title="a.txt", language="en")
    assert found.reading.sentences > 20_000
