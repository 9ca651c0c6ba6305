"""Subtitles that a reader can follow and a player can read."""

from __future__ import annotations

import io

import av

from mediaq.media.subtitles import Spoken, cues, plain, srt, vtt


def words(text: str, start: float = 0.0, each: float = 0.3) -> list[Spoken]:
    """Say a word every ``each`` seconds."""
    return [
        Spoken(start + i * each, start + (i + 1) * each, f" {word}")
        for i, word in enumerate(text.split())
    ]


def test_cues_hold_two_lines_at_most_and_lose_no_word() -> None:
    text = "there was nothing to be seen but water and sky and one white sail far away " * 5
    made = list(cues(words(text)))
    assert " ".join(cue.text for cue in made) == text.strip()
    assert all(len(cue.text) <= 84 and cue.end - cue.start <= 6.001 for cue in made)
    lines = srt(made).splitlines()
    assert max(len(line) for line in lines) <= 50


def test_a_pause_and_the_end_of_a_sentence_begin_a_new_cue() -> None:
    made = list(cues([*words("Good morning to you all, friends. So"), *words("here we are", 9)]))
    assert [cue.text for cue in made] == ["Good morning to you all, friends.", "So", "here we are"]
    assert made[2].start == 9


def test_times_are_written_as_each_format_wants_them() -> None:
    cue = [Spoken(3661.5, 3662.0004, "Hi")]
    assert srt(cue) == "1\n01:01:01,500 --> 01:01:02,000\nHi\n"
    assert vtt(cue) == "WEBVTT\n\n01:01:01.500 --> 01:01:02.000\nHi\n"


def test_what_means_something_in_webvtt_is_written_so_that_it_does_not() -> None:
    assert "a --&gt; b &lt;i&gt; &amp;" in vtt([Spoken(0, 1, "a --> b <i> &")])


def test_a_player_reads_both_back() -> None:
    told = [Spoken(0.5, 1.5, "One & two"), Spoken(2, 3, "three")]
    for form, text in (("srt", srt(told)), ("webvtt", vtt(told))):
        with av.open(io.BytesIO(text.encode()), format=form) as file:
            found = [packet for packet in file.demux() if packet.size]
        assert [float(packet.pts * packet.time_base) for packet in found] == [0.5, 2.0]
        assert bytes(found[1]) == b"three"


def test_a_long_pause_begins_a_paragraph() -> None:
    told = [Spoken(0, 1, "One."), Spoken(1.5, 2, "Two."), Spoken(5, 6, "Three.")]
    assert plain(told) == "One. Two.\n\nThree."
    assert plain([]) == ""
