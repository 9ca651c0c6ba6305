"""Which moments are shown."""

from __future__ import annotations

import pytest

from mediaq.media.child.refusal import Refusal
from mediaq.media.child.sheet import time_text
from mediaq.media.child.times import (
    distinct,
    even_times,
    nearest,
    prefer_keyframes,
    spaced_times,
)


def test_even_times_are_the_centres_of_equal_parts() -> None:
    assert even_times(60, 6) == [5, 15, 25, 35, 45, 55]


def test_spaced_times_begin_at_the_start_and_end_before_the_end() -> None:
    assert spaced_times(10, 4) == [0, 4, 8]
    assert spaced_times(8, 4) == [0, 4]


def test_an_interval_longer_than_the_video_shows_its_middle() -> None:
    assert spaced_times(10, 60) == [5]


def test_too_short_an_interval_is_refused_with_the_smallest_that_works() -> None:
    with pytest.raises(Refusal, match=r"7200 frames, 1000 is the limit.*works here is 3\.6"):
        spaced_times(3600, 0.5)
    assert len(spaced_times(3600, 3.6)) == 1000


def test_the_nearest_value_is_the_earlier_one_of_two() -> None:
    assert nearest([0, 10, 20], 5) == 0
    assert nearest([0, 10, 20], 5.1) == 1
    assert nearest([0, 10, 20], 99) == 2


def test_each_wanted_time_gets_the_frame_on_screen_then() -> None:
    assert distinct([0, 1, 2, 3, 4], [0.5, 2.5, 4.5]) == [0, 2, 4]


def test_no_frame_is_picked_twice_while_there_are_others() -> None:
    crowded = [0, 0.1, 0.2, 0.3, 100]
    for wanted in ([10, 30, 50, 70], [99, 100, 101, 102], [0, 0, 0, 0]):
        picks = distinct(crowded, wanted)
        assert len(set(picks)) == 4
        assert picks == sorted(picks)
        assert picks[0] >= 0
        assert picks[-1] < len(crowded)


def test_a_keyframe_within_reach_is_preferred_and_order_kept() -> None:
    shown = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert prefer_keyframes([2, 5, 8], shown, [0, 6], [2, 5, 8], 1.5) == [2, 6, 8]


@pytest.mark.parametrize(
    ("seconds", "places", "text"),
    [
        (0, 0, "0:00"),
        (59.999, 0, "0:59"),
        (61, 0, "1:01"),
        (3725.5, 0, "1:02:05"),
        (3725.5, 1, "1:02:05.5"),
        (0.04, 1, "0:00.0"),
        (0.04, 2, "0:00.04"),
        (0.041, 3, "0:00.041"),
        (4.3, 1, "0:04.3"),
        (36000, 0, "10:00:00"),
    ],
)
def test_times_are_written_as_on_a_clock(seconds: float, places: int, text: str) -> None:
    assert time_text(seconds, places) == text
