"""In which order steps run, what is left when one fails, and that every module is registered."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest

from mediaq import branches, pipeline, steps
from mediaq.errors import Rejected, Unavailable
from mediaq.kit import Branch, Kit, Step, Work
from mediaq.model import Kind, Made, MadeResult, Options, Request, ResultType, Stored

Action = Callable[[Work, Kit], Awaitable[Any]]


@dataclass
class Memory:
    """A storage that only remembers."""

    kept: set[str] = field(default_factory=set)
    broken: bool = False

    async def put(self, _: Path, key: str) -> Stored:
        self.kept.add(key)
        return Stored(file_path=key, size_bytes=0, sha256="", location="local")

    async def remove(self, key: str) -> None:
        if self.broken:
            msg = "the disk is away"
            raise Unavailable(msg)
        self.kept = {one for one in self.kept if not one.startswith(f"{key}/")}


class Media:
    """Media work that these steps do not ask for."""

    async def kind(self, *_: Any) -> Any:
        raise AssertionError

    async def ask(self, *_: Any, **__: Any) -> Any:
        raise AssertionError

    async def probe(self, *_: Any) -> Any:
        raise AssertionError

    async def contact_sheets(self, *_: Any, **__: Any) -> Any:
        raise AssertionError


class Scene:
    """A branch to run, and what happened in which order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = Memory()
        self.told: list[str] = []
        self.progress: list[tuple[str, float, str]] = []
        self.skipped: dict[str, str] = {}
        self.refuse: Exception | None = None
        self.results: dict[ResultType, Any] = {}
        self.request = Request(
            request_id=UUID(int=1),
            attempt=3,
            failed_attempts=0,
            media_type="video",
            media_url=None,
            media_path="x",
            prompt=None,
            options=Options(),
        )

    def step(self, name: str, action: Action | None = None) -> Step:
        """Make a step that tells when it starts and ends, and does ``action`` in between."""

        async def run(work: Work, kit: Kit) -> Made:
            self.told.append(f"{name} starts")
            await kit.storage.put(kit.workspace / "x", f"{kit.outputs}/x")
            try:
                made = await action(work, kit) if action else None
            finally:
                self.told.append(f"{name} ends")
            return made if isinstance(made, Made) else Made()

        return Step(name, run)

    async def run(
        self, needs: Mapping[Step, tuple[Step, ...]], *, done: frozenset[str] = frozenset()
    ) -> None:
        async def record(step: str, made: Made, duration_ms: int) -> None:
            assert duration_ms >= 0
            if self.refuse:
                raise self.refuse
            self.told.append(f"{step} recorded")
            if made.skipped:
                self.skipped[step] = made.skipped.code

        async def tell(step: str, fraction: float, doing: str) -> None:
            self.progress.append((step, fraction, doing))

        async def nowhere(fraction: float, doing: str) -> None:
            raise AssertionError

        await pipeline.run(
            Branch("video", needs),
            Work(
                self.request,
                self.folder / "source",
                "source",
                Kind(media_type="video", form="mp4"),
                self.results,
            ),
            Kit(Media(), self.storage, self.folder, nowhere),
            done=done,
            record=record,
            tell=tell,
        )


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def fails(error: Exception) -> Action:
    async def action(_: Work, __: Kit) -> None:
        raise error

    return action


async def for_ever(_: Work, __: Kit) -> None:
    await asyncio.Event().wait()


def result(result_type: ResultType, **content: Any) -> Made:
    return Made(results=[MadeResult(result_type=result_type, content="", content_json=content)])


# Order


async def test_a_step_runs_after_all_that_it_needs_is_recorded(scene: Scene) -> None:
    a, b, c, d = (scene.step(name) for name in "abcd")
    # Written last to first, so that the order of the mapping is no help.
    await scene.run({d: (b, c), c: (a,), b: (a,), a: ()})
    order = {told: place for place, told in enumerate(scene.told)}
    for step, needed in ("ba", "ca", "db", "dc"):
        assert order[f"{step} starts"] > order[f"{needed} recorded"]
    assert len(scene.told) == 12


async def test_independent_steps_run_side_by_side(scene: Scene) -> None:
    """Each of two steps waits for a word of the other: one after the other they would hang."""
    here, there = asyncio.Event(), asyncio.Event()

    async def first(_: Work, __: Kit) -> None:
        here.set()
        await there.wait()

    async def second(_: Work, __: Kit) -> None:
        there.set()
        await here.wait()

    await scene.run({scene.step("a", first): (), scene.step("b", second): ()})
    assert {"a recorded", "b recorded"} < set(scene.told)


async def test_a_step_starts_as_soon_as_its_own_needs_are_done(scene: Scene) -> None:
    """The slow step waits for one that needs the quick one: no step waits for its neighbours."""
    after_quick = asyncio.Event()

    async def wait(_: Work, __: Kit) -> None:
        await after_quick.wait()

    async def go(_: Work, __: Kit) -> None:
        after_quick.set()

    slow, quick = scene.step("slow", wait), scene.step("quick")
    await scene.run({slow: (), quick: (), scene.step("after", go): (quick,)})
    assert scene.told[-1] == "slow recorded"


async def test_a_step_reads_the_results_of_those_it_needs(scene: Scene) -> None:
    seen = []

    async def make(_: Work, __: Kit) -> Made:
        return result("summary", text="made now")

    async def read(work: Work, _: Kit) -> None:
        seen.append(dict(work.results))

    scene.results["metadata_extraction"] = {"text": "made before"}
    first = scene.step("a", make)
    await scene.run({first: (), scene.step("b", read): (first,)})
    assert seen == [
        {"metadata_extraction": {"text": "made before"}, "summary": {"text": "made now"}}
    ]


async def test_done_steps_are_skipped(scene: Scene) -> None:
    a, b, c = (scene.step(name) for name in "abc")
    await scene.run({a: (), b: (a,), c: (b,)}, done=frozenset({"a", "b"}))
    assert scene.told == ["c starts", "c ends", "c recorded"]


async def test_when_all_is_done_nothing_runs(scene: Scene) -> None:
    await scene.run({scene.step("a"): ()}, done=frozenset({"a", "gone in this version"}))
    assert not scene.told


async def test_every_step_has_a_folder_and_a_key_of_its_own(scene: Scene) -> None:
    seen = []

    async def look(_: Work, kit: Kit) -> None:
        assert not list(kit.workspace.iterdir())
        seen.append((kit.workspace, kit.outputs))
        await kit.progress(0.5, "looking")

    await scene.run({scene.step("a", look): (), scene.step("b", look): ()})
    key = f"outputs/{UUID(int=1)}"
    assert sorted(seen) == [
        (scene.folder / "a", f"{key}/a-3"),
        (scene.folder / "b", f"{key}/b-3"),
    ]
    assert sorted(scene.progress) == [("a", 0.5, "looking"), ("b", 0.5, "looking")]


# Failure


@pytest.mark.parametrize(
    "error", [Rejected("no video"), Unavailable("busy", retry_after=3), KeyError("bug")]
)
async def test_a_failure_names_its_step(scene: Scene, error: Exception) -> None:
    first = scene.step("first")
    with pytest.raises(pipeline.StepFailed) as caught:
        await scene.run({first: (), scene.step("second", fails(error)): (first,)})
    assert caught.value.step == "second"
    assert caught.value.error is error
    assert str(caught.value) == f"second: {error}"


async def test_a_failure_in_a_task_group_is_told_as_itself(scene: Scene) -> None:
    error = Unavailable("the disk is full")

    async def group(_: Work, __: Kit) -> None:
        async with asyncio.TaskGroup() as outer, asyncio.TaskGroup() as inner:
            inner.create_task(fails(error)(_, __))  # type: ignore[arg-type]
            outer.create_task(asyncio.Event().wait())

    with pytest.raises(pipeline.StepFailed) as caught:
        await scene.run({scene.step("a", group): ()})
    assert caught.value.error is error


async def test_the_first_failure_ends_the_steps_beside_it_before_it_is_told(scene: Scene) -> None:
    cleaned = asyncio.Event()
    running = asyncio.Event()

    async def linger(_: Work, __: Kit) -> None:
        try:
            running.set()
            await asyncio.Event().wait()
        finally:
            # As a child process that takes its time to end.
            for _ in range(20):
                await asyncio.sleep(0)
            cleaned.set()

    async def fail(_: Work, __: Kit) -> None:
        await running.wait()
        raise KeyError

    bad, slow = scene.step("bad", fail), scene.step("slow", linger)
    with pytest.raises(pipeline.StepFailed, match="bad"):
        await scene.run({bad: (), slow: (), scene.step("after", for_ever): (slow,)})
    assert cleaned.is_set()
    assert scene.told[-1] == "slow ends"
    assert "after starts" not in scene.told
    assert not scene.storage.kept


async def test_two_failures_at_once_are_both_looked_at(scene: Scene) -> None:
    """Else asyncio complains of an exception that was never retrieved."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
    try:
        with pytest.raises(pipeline.StepFailed):
            await scene.run({scene.step(name, fails(KeyError())): () for name in "abc"})
        gc.collect()
    finally:
        asyncio.get_running_loop().set_exception_handler(None)
    assert not complaints


async def test_what_a_failed_step_stored_is_removed_and_what_others_recorded_stays(
    scene: Scene,
) -> None:
    first = scene.step("first")
    with pytest.raises(pipeline.StepFailed):
        await scene.run({first: (), scene.step("second", fails(KeyError())): (first,)})
    assert scene.storage.kept == {f"outputs/{UUID(int=1)}/first-3/x"}


async def test_a_storage_that_cannot_remove_does_not_hide_the_failure(scene: Scene) -> None:
    scene.storage.broken = True
    error = Rejected("no video")
    with pytest.raises(pipeline.StepFailed) as caught:
        await scene.run({scene.step("a", fails(error)): ()})
    assert caught.value.error is error


async def test_a_record_that_fails_is_raised_as_it_is(scene: Scene) -> None:
    scene.refuse = LookupError("superseded")
    with pytest.raises(LookupError, match="superseded"):
        await scene.run({scene.step("a"): (), scene.step("b", for_ever): ()})
    assert scene.told[-1] == "b ends"


async def test_cancelling_ends_every_step_first(scene: Scene) -> None:
    running = [asyncio.Event(), asyncio.Event()]

    def linger(event: asyncio.Event) -> Action:
        async def action(_: Work, __: Kit) -> None:
            event.set()
            try:
                await asyncio.Event().wait()
            finally:
                for _ in range(20):
                    await asyncio.sleep(0)

        return action

    steps = {scene.step(f"s{n}", linger(event)): () for n, event in enumerate(running)}
    task = asyncio.create_task(scene.run(steps))
    for event in running:
        await event.wait()
    # Impatience does not help: what is cancelled while it ends still ends.
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(scene.told[-2:]) == ["s0 ends", "s1 ends"]
    assert not scene.storage.kept


# Registries


def modules_of(package: ModuleType) -> set[str]:
    return {
        importlib.import_module(f"{package.__name__}.{found.name}").__name__
        for found in pkgutil.iter_modules(package.__path__)
    }


def test_every_branch_is_registered() -> None:
    modules = (importlib.import_module(name) for name in modules_of(branches))
    assert {branch.media_type for branch in branches.BRANCHES} == {
        module.BRANCH.media_type for module in modules
    }
    assert {id(branch) for branch in branches.BRANCHES} == {
        id(importlib.import_module(name).BRANCH) for name in modules_of(branches)
    }


def test_every_step_is_used_by_a_branch() -> None:
    used = {step for branch in branches.BRANCHES for step in branch.steps}
    assert used == {importlib.import_module(name).STEP for name in modules_of(steps)}


@pytest.mark.parametrize("branch", branches.BRANCHES, ids=lambda branch: branch.media_type)
def test_a_branch_needs_only_its_own_steps_each_under_one_name(branch: Branch) -> None:
    assert {need for needs in branch.steps.values() for need in needs} <= branch.steps.keys()
    names = [step.name for step in branch.steps]
    assert len(set(names)) == len(names)


def test_the_branch_of_a_media_type_is_found() -> None:
    for branch in branches.BRANCHES:
        assert branches.of(branch.media_type) is branch


def test_a_media_type_without_a_branch_is_rejected() -> None:
    with pytest.raises(Rejected, match="auto is not analysed by this version"):
        branches.of("auto")


def _wants(scene: Scene, *want: str) -> None:
    options = Options.model_validate({"want": want})
    scene.request = scene.request.model_copy(update={"options": options})


async def test_only_what_is_wanted_runs_with_what_it_needs(scene: Scene) -> None:
    probe = scene.step("metadata")
    sheets = dataclasses.replace(scene.step("sheets"), makes=("contact_sheets",))
    cuts = dataclasses.replace(scene.step("cuts"), makes=("scene_detection",))
    _wants(scene, "scene_detection")
    await scene.run({probe: (), sheets: (probe,), cuts: (probe,)})
    assert [line for line in scene.told if "recorded" in line] == [
        "metadata recorded",
        "cuts recorded",
    ]


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, ["metadata"]),
        ({"gps": True}, ["metadata", "board"]),
        ({"want": ["summary"]}, ["metadata"]),
        ({"want": ["summary"], "gps": True}, ["metadata", "board"]),
    ],
)
async def test_a_step_with_an_option_of_its_own_runs_when_that_is_given(
    scene: Scene, options: dict[str, Any], steps: list[str]
) -> None:
    probe = dataclasses.replace(scene.step("metadata"), makes=("summary",))
    board = dataclasses.replace(scene.step("board"), only_if=lambda given: given.gps)
    given = Options.model_validate(options)
    scene.request = scene.request.model_copy(update={"options": given})
    await scene.run({probe: (), board: (probe,)})
    assert [line for line in scene.told if "recorded" in line] == [f"{s} recorded" for s in steps]


async def test_what_no_step_makes_is_told_as_skipped(scene: Scene) -> None:
    cuts = dataclasses.replace(scene.step("cuts"), makes=("scene_detection",))
    _wants(scene, "scene_detection", "text_analysis")
    await scene.run({cuts: ()})
    assert scene.told[0] == "text_analysis recorded"
    assert scene.skipped == {"text_analysis": "not_of_this_media"}


async def test_a_wish_that_nothing_makes_is_refused_with_what_there_is(scene: Scene) -> None:
    cuts = dataclasses.replace(scene.step("cuts"), makes=("scene_detection",))
    _wants(scene, "text_analysis")
    with pytest.raises(Rejected, match="no video yields; it yields scene_detection"):
        await scene.run({cuts: ()})
    assert scene.told == []
