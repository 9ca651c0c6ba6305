"""Scenes and motion of a video, both from reading it once, with a picture of each scene."""

from __future__ import annotations

import asyncio
from typing import Literal

from mediaq.kit import Kit, Step, Work
from mediaq.model import Made, MadeFile, MadeResult, Value

Method = Literal["reference frames", "keyframes"]


class ScenePicture(Value):
    """The picture of a scene: a stored file's name and when it is shown."""

    name: str
    seconds: float
    width: int
    height: int


class Scene(Value):
    """A part of the film between two changes; ``begun_by`` is the change before it."""

    number: int
    start_seconds: float
    end_seconds: float
    begun_by: Literal["start", "cut", "dissolve", "fade"]
    picture: ScenePicture | None = None


class SceneChange(Value):
    """Where one scene ends and the next begins; a cut takes no time.

    ``difference`` is the mean difference of the pictures before and after, 0 to 255.
    """

    seconds: float
    kind: Literal["cut", "dissolve", "fade"]
    start_seconds: float
    end_seconds: float
    difference: float


class Thresholds(Value):
    """What the method decided by; see ``media/child/cuts.py`` and ``blends.py``."""

    difference: float
    times_usual: float
    times_largest: float
    blend_difference: float
    blend_residual: float
    shortest_scene_seconds: float


class Scenes(Value):
    """The ``scene_detection`` result; times are seconds since the first frame.

    ``method`` says which frames were looked at. There are pictures of the hundred longest scenes.
    """

    method: Method
    thresholds: Thresholds
    frames_looked_at: int
    duration_seconds: float
    scene_count: int
    cut_count: int
    dissolve_count: int
    fade_count: int
    changes: tuple[SceneChange, ...]
    scenes: tuple[Scene, ...]
    notes: tuple[str, ...]


class Freeze(Value):
    """A stretch in which the picture does not change at all."""

    start_seconds: float
    end_seconds: float


class Motion(Value):
    """The ``motion_analysis`` result.

    Shares are parts of the time: nothing moves, the camera alone, things in the picture alone,
    both. ``points`` are [seconds, part of the picture that changes, camera in picture widths a
    second, part that changes when the camera's move is taken back], each over
    ``interval_seconds``. ``camera_path`` is the whole way of the camera in picture widths. Only
    moves up, down and sideways are told apart: a zoom counts as things that move. Shares are None
    where there is but one frame.
    """

    method: Method
    frames_looked_at: int
    duration_seconds: float
    still_share: float | None
    camera_share: float | None
    object_share: float | None
    mixed_share: float | None
    mean_moving_area: float | None
    camera_path: float
    freezes: tuple[Freeze, ...]
    interval_seconds: float
    points: tuple[tuple[float, float, float, float], ...]
    notes: tuple[str, ...]


class Seen(Value):
    """What the child answers."""

    scenes: Scenes
    motion: Motion


async def run(work: Work, kit: Kit) -> Made:
    """Read the film once and store a picture of each scene."""
    seen = await kit.media.ask(
        "scenes",
        work.source,
        Seen,
        title=work.title,
        progress=kit.progress,
        into=str(kit.workspace),
        format=work.request.options.format,
    )

    async def store(scene: Scene, picture: ScenePicture) -> MadeFile:
        return MadeFile(
            name=picture.name,
            file_type="frame",
            stored=await kit.storage.put(
                kit.workspace / picture.name, f"{kit.outputs}/{picture.name}"
            ),
            mime_type=f"image/{work.request.options.format}",
            width=picture.width,
            height=picture.height,
            sequence_order=scene.number,
            metadata={"scene": scene.number, "seconds": picture.seconds},
        )

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(store(scene, scene.picture))
            for scene in seen.scenes.scenes
            if scene.picture is not None
        ]
    return Made(
        files=[task.result() for task in tasks],
        results=(
            MadeResult(
                result_type="scene_detection",
                content=describe_scenes(seen.scenes),
                content_json=seen.scenes.model_dump(mode="json", exclude_none=True),
            ),
            MadeResult(
                result_type="motion_analysis",
                content=describe_motion(seen.motion),
                content_json=seen.motion.model_dump(mode="json", exclude_none=True),
            ),
        ),
    )


def describe_scenes(scenes: Scenes) -> str:
    """List the scenes, one a line, below a line that counts them."""
    counts = [
        amount(scenes.scene_count, "scene"),
        amount(scenes.cut_count, "cut"),
        amount(scenes.dissolve_count, "dissolve"),
        amount(scenes.fade_count, "fade"),
    ]
    lines = [
        f"{scene.number}. {clock(scene.start_seconds)} to {clock(scene.end_seconds)}"
        for scene in scenes.scenes
    ]
    return "\n".join([", ".join(counts), *lines, *scenes.notes])


def describe_motion(motion: Motion) -> str:
    """Say in sentences what moves."""
    shares = [
        (motion.still_share, "nothing moves"),
        (motion.camera_share, "only the camera moves"),
        (motion.object_share, "things in the picture move"),
        (motion.mixed_share, "camera and things move"),
    ]
    said = [f"{share:.0%} of the time {what}" for share, what in shares if share is not None]
    lines = [", ".join(said) or "one frame: nothing can be said of motion"]
    lines += [
        f"the picture stands still from {clock(freeze.start_seconds)}"
        f" to {clock(freeze.end_seconds)}"
        for freeze in motion.freezes
    ]
    return "\n".join([*lines, *motion.notes])


def amount(count: int, what: str) -> str:
    """Say how many there are of something."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def clock(seconds: float) -> str:
    """Write a time as 1:02:03.4."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}"


STEP = Step("scenes", run, ("scene_detection", "motion_analysis"))
