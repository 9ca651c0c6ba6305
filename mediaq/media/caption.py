"""The facts about a video that stand above its contact sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mediaq.model import Probe

STEP = 1024


def facts(probe: Probe) -> list[str]:
    """Give length, size on screen, rate, codecs, bytes and chapters, each as a short text."""
    told: list[str] = []
    if probe.duration_seconds is not None:
        told.append(length(probe.duration_seconds))
    if probe.width is not None:
        told.append(f"{probe.width} x {probe.height}")
    if probe.fps is not None:
        told.append(f"{probe.fps:.4g} fps")
    codecs = [codec for codec in (probe.video_codec, probe.audio_codec) if codec]
    if codecs:
        told.append(" + ".join(codecs))
    told.append(amount(probe.size_bytes))
    if len(probe.chapters) > 1:
        told.append(f"{len(probe.chapters)} chapters")
    return told


def length(seconds: float) -> str:
    """Write H:MM:SS or M:SS, tenths of a second below ten seconds, milliseconds below one."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def amount(size: float) -> str:
    """Write bytes with the unit that leaves a number below 1024."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < STEP:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.3g} {unit}"
        size /= STEP
    return f"{size:.3g} TiB"
