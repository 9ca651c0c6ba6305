"""What the speech model writes down of texts that are known."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from mediaq.errors import Rejected
from mediaq.media.child import dictation, whisper
from mediaq.media.child.refusal import Refusal
from mediaq.media.local import LocalMedia
from mediaq.media.resident import Residents
from mediaq.steps.audio_analysis import Heard
from mediaq.steps.transcription import Said

SPEAK = Path(__file__).parents[2] / "speech.py"
ENGLISH = (
    "Once upon a time there was a small village by the sea. The people of the village went"
    " out in their boats every morning, and came home every evening with baskets full of fish."
    " One day a young woman found a letter in a green bottle on the beach."
)
GERMAN = (
    "Guten Tag, meine Damen und Herren. Heute ist ein schöner Tag, und die Sonne scheint über"
    " der Stadt. Wir fahren morgen mit dem Zug nach Berlin."
)

Dictate = Callable[..., Awaitable[Said]]


@pytest.fixture(scope="module", name="media")
async def _media() -> AsyncIterator[LocalMedia]:
    async with Residents() as residents:
        yield LocalMedia(100, residents)


@pytest.fixture
def dictate(media: LocalMedia, tmp_path: Path) -> Dictate:
    """Write down a sound file, or samples."""

    async def dictated(
        sound: Path | np.ndarray[tuple[int], np.dtype[np.int16]],
        language: str | None = None,
        start: float = 0.0,
    ) -> Said:
        samples = tmp_path / "a.s16"
        if isinstance(sound, np.ndarray):
            sound.astype("<i2").tofile(samples)
        else:
            await media.ask(
                "audio_analysis",
                sound,
                Heard,
                title="a",
                into=str(tmp_path),
                keep_samples=samples.name,
                pictures=False,
            )
        return await media.ask(
            "transcription", samples, Said, title="a.wav", language=language, start=start
        )

    return dictated


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spoken(tmp_path_factory.mktemp("voice") / "english.wav", "en-us", ENGLISH)


@pytest.fixture(scope="module")
def german(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spoken(tmp_path_factory.mktemp("voice") / "german.wav", "de", GERMAN)


def spoken(path: Path, voice: str, text: str) -> Path:
    subprocess.run([sys.executable, SPEAK, voice, path, text], check=True)
    return path


def word_error_rate(said: str, heard: str) -> float:
    """Count what must be changed, added and removed, for each word that was said."""
    want, got = (re.sub(r"[^\w\s]", "", text.lower()).split() for text in (said, heard))
    row = list(range(len(got) + 1))
    for i, word in enumerate(want, start=1):
        above, row = row, [i]
        for j, other in enumerate(got, start=1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (word != other)))
    return row[-1] / len(want)


def text_of(said: Said) -> str:
    return " ".join(segment.text for segment in said.segments)


async def test_a_known_text_is_written_down(dictate: Dictate, english: Path) -> None:
    """The voice is a machine's; nine words of ten are right all the same."""
    said = await dictate(english)
    assert word_error_rate(ENGLISH, text_of(said)) <= 0.1, text_of(said)
    assert said.language == "en"
    assert said.language_probability is not None
    assert said.language_probability > 0.8
    assert said.confidence is not None
    assert 0.4 < said.confidence < 1
    assert said.model == "whisper-base"


async def test_times_of_words_rise_within_their_segments(dictate: Dictate, english: Path) -> None:
    said = await dictate(english, start=100.0)
    words = [word for segment in said.segments for word in segment.words]
    assert len(words) == pytest.approx(len(ENGLISH.split()), abs=5)
    starts = [word.start for word in words]
    assert starts == sorted(starts)
    assert starts[0] >= 100.0
    assert all(word.end >= word.start for word in words)
    assert all(0 <= word.probability <= 1 for word in words)


async def test_the_language_is_found(dictate: Dictate, german: Path) -> None:
    said = await dictate(german)
    assert said.language == "de"
    assert word_error_rate(GERMAN, text_of(said)) <= 0.1, text_of(said)


async def test_a_given_language_is_taken(dictate: Dictate, german: Path) -> None:
    said = await dictate(german, language="de")
    assert (said.language, said.language_probability) == ("de", None)


async def test_a_language_that_the_model_does_not_know_is_said(
    dictate: Dictate, german: Path
) -> None:
    with pytest.raises(Rejected, match="does not know language 'xxx'") as caught:
        await dictate(german, language="xxx")
    assert caught.value.details["skip"] == "language_not_known"


@pytest.mark.parametrize("what", ["silence", "noise", "tone", "nothing"])
async def test_where_nobody_speaks_nothing_is_written(dictate: Dictate, what: str) -> None:
    time = np.arange(16_000 * 8) / 16_000
    samples = {
        "silence": time * 0,
        "noise": np.random.default_rng(3).normal(0, 2000, len(time)),
        "tone": 8000 * np.sin(2 * np.pi * 440 * time),
        "nothing": time[:1] * 0,
    }[what]
    said = await dictate(samples.astype(np.int16))
    assert said.segments == ()
    assert (said.language, said.confidence) == (None, None)


async def test_a_model_of_the_users_own_goes_first(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    for name, content in whisper._packaged().items():
        (folder / name).write_bytes(content)
    samples = tmp_path / "a.s16"
    samples.write_bytes(bytes(64_000))
    own = LocalMedia(100, models={"transcription": str(folder)})
    async with own.residents:
        said = await own.ask("transcription", samples, Said, title="a", language=None, start=0.0)
        assert (said.model, said.segments) == ("my-model", ())
        (folder / "tokenizer.json").unlink()
    async with own.residents:
        with pytest.raises(Rejected, match=r"my-model, which holds no tokenizer\.json"):
            await own.ask("transcription", samples, Said, title="a", language=None, start=0.0)


def test_long_sound_is_cut_where_it_is_quiet() -> None:
    samples = np.full(700 * 16_000, 3000, np.int16)
    for second in (285, 560):
        samples[second * 16_000 : (second + 1) * 16_000] = 0
    cuts = [round(end / 16_000) for _, end in dictation._pieces(samples)]
    assert [abs(cut - want) <= 1 for cut, want in zip(cuts, (285, 560, 700), strict=True)] == (
        [True] * 3
    )


def test_weights_that_are_not_the_known_ones_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper, "_data", lambda *_: b"other weights")
    with pytest.raises(Refusal, match="not the one that is known to be good") as caught:
        whisper._packaged()
    assert caught.value.details["skip"] == "not_installed"


def test_without_the_library_how_to_get_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper, "find_spec", lambda _: None)
    with pytest.raises(Refusal, match=r"pip install 'mediaq\[local\]'"):
        whisper.model.__wrapped__(None)
