"""A short moving preview of a video from the frames of its contact sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL.Image import Image

SIDE = 320
MOST = 8
MILLISECONDS = 500
QUALITY = 70


def moving(count: int, image: Callable[[int], Image], path: Path) -> dict[str, Any] | None:
    """Write an animated WebP of at most 8 of ``count`` pictures, or nothing if it would stand.

    ``image`` gives a picture by its number. The answer has the fields of ``mediaq.model.Preview``.
    """
    shown = min(count, MOST)
    if shown <= 1:
        return None
    pictures = []
    for i in range(shown):
        small = image(i * count // shown).copy()
        small.thumbnail((SIDE, SIDE))
        pictures.append(small)
    pictures[0].save(
        path,
        "WEBP",
        save_all=True,
        append_images=pictures[1:],
        duration=MILLISECONDS,
        loop=0,
        quality=QUALITY,
        method=1,
    )
    return {
        "path": str(path),
        "width": pictures[0].width,
        "height": pictures[0].height,
        "duration_seconds": shown * MILLISECONDS / 1000,
    }
