"""What follows from cuts and transitions: where scenes begin and end."""

from __future__ import annotations

from mediaq.media.child.blends import Blend
from mediaq.media.child.storyline import Storyline


def told(*changes: Blend | float, end: float = 20.0) -> list[tuple[float, float, str]]:
    heard: list[tuple[int, float, float]] = []
    line = Storyline(lambda *scene: heard.append(scene))
    for change in changes:
        if isinstance(change, Blend):
            line.blend(change)
        else:
            line.cut(change, 30)
    line.end(end)
    assert [scene[1:] for scene in heard] == [
        (scene["start_seconds"], scene["end_seconds"]) for scene in line.scenes
    ]
    assert line.count == len(line.scenes) == len(line.changes) + 1
    assert sum(line.counts.values()) == len(line.changes)
    return [(s["start_seconds"], s["end_seconds"], s["begun_by"]) for s in line.scenes]


OUT = Blend(4, 5, "fade_out", 40)


def test_a_film_without_changes_is_one_scene() -> None:
    assert told() == [(0, 20, "start")]


def test_what_is_too_short_belongs_to_the_scene_before() -> None:
    assert told(0.1, 5.0, 5.2, 9.0) == [(0, 5, "start"), (5, 9, "cut"), (9, 20, "cut")]


def test_a_dissolve_is_cut_in_its_middle() -> None:
    assert told(Blend(4, 6, "dissolve", 30)) == [(0, 5, "start"), (5, 20, "dissolve")]


def test_fades_out_and_in_are_one_change_in_the_middle_of_the_black() -> None:
    assert told(OUT, Blend(6, 7, "fade_in", 40)) == [(0, 5.5, "start"), (5.5, 20, "fade")]


def test_a_cut_out_of_black_ends_the_fade() -> None:
    assert told(OUT, 6.0) == [(0, 6, "start"), (6, 20, "fade")]


def test_long_black_is_a_scene_of_its_own() -> None:
    assert told(OUT, Blend(9, 10, "fade_in", 40)) == [
        (0, 5, "start"),
        (5, 9, "fade"),
        (9, 20, "fade"),
    ]


def test_a_film_that_comes_out_of_black_and_goes_back_is_one_scene() -> None:
    assert told(Blend(0.5, 2, "fade_in", 40), Blend(18, 19, "fade_out", 40)) == [(0, 20, "start")]


def test_a_film_that_ends_in_long_black_ends_twice() -> None:
    assert told(OUT) == [(0, 5, "start"), (5, 20, "fade")]
