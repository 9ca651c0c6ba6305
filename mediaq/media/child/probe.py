"""What a media file says of itself, cleaned until it fits in JSON."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av.error

from mediaq.media.child.container import (
    film_stream,
    is_picture,
    no_film,
    open_media,
    readable_films,
)
from mediaq.media.child.orientation import displayed_size, upright
from mediaq.media.child.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

MAX_TAGS = 64
MAX_TAG_NAME = 64
MAX_TAG_TEXT = 1024
MAX_RATE = 1000
MAX_CHAPTERS = 500
MAX_TITLE = 200
MICROSECONDS = 1_000_000


def probe(job: dict[str, Any], _tell: object) -> dict[str, Any]:
    """Describe the source with the fields of ``mediaq.model.Probe``."""
    source, name = job["source"], job["name"]
    with open_media(source, name) as container:
        if not container.streams:
            msg = f"{name} is not a media file that can be read: no streams in it"
            raise Refusal(msg)
        film: VideoStream | None = None
        if readable_films(container):
            film = film_stream(container, name)
        elif container.streams.video and not container.streams.audio:
            raise no_film(container, name)
        streams = [_stream(stream) for stream in container.streams]
        duration = _positive(container.duration, 1 / MICROSECONDS)
        if duration is None:
            told = [s["duration_seconds"] for s in streams if s["duration_seconds"]]
            duration = max(told, default=None)
        sound = next((s["codec"] for s in streams if s["kind"] == "audio"), None)
        answer: dict[str, Any] = {
            "container": container.format.name,
            "container_name": container.format.long_name,
            "duration_seconds": duration,
            "size_bytes": Path(source).stat().st_size,
            "bit_rate": container.bit_rate if container.bit_rate > 0 else None,
            "audio_codec": sound,
            "tags": _tags(container.metadata),
            "chapters": _chapters(container),
            "streams": streams,
            "video_codec": None,
            "fps": None,
            "width": None,
            "height": None,
            "rotation": None,
        }
        if film is not None:
            rotation = _rotation(container, film)
            context = film.codec_context
            width, height = displayed_size(
                context.width, context.height, film.sample_aspect_ratio, rotation
            )
            mine = streams[film.index]
            mine["rotation"] = rotation
            answer |= {
                "video_codec": context.name,
                "fps": mine["fps"],
                "width": width,
                "height": height,
                "rotation": rotation,
            }
        return answer


def _stream(stream: Stream) -> dict[str, Any]:
    context = stream.codec_context
    about: dict[str, Any] = {
        "index": stream.index,
        "kind": stream.type or "unknown",
        "codec": context.name if context else None,
        "profile": stream.profile if context else None,
        "language": _text(stream.language or "", MAX_TAG_NAME) or None,
        "duration_seconds": _positive(stream.duration, stream.time_base),
        "bit_rate": (context.bit_rate or None) if context else None,
        "tags": _tags(stream.metadata),
        "attached_picture": is_picture(stream),
    }
    if context and stream.type == "video":
        about |= _video(stream)  # type: ignore[arg-type]
    elif context and stream.type == "audio":
        about |= _audio(stream)  # type: ignore[arg-type]
    return about


def _video(stream: VideoStream) -> dict[str, Any]:
    context = stream.codec_context
    shape = stream.sample_aspect_ratio
    return {
        "width": context.width or None,
        "height": context.height or None,
        "pixel_format": context.pix_fmt,
        "fps": _rate(stream.average_rate) or _rate(stream.guessed_rate),
        "sample_aspect_ratio": f"{shape.numerator}:{shape.denominator}" if shape else None,
    }


def _audio(stream: AudioStream) -> dict[str, Any]:
    context = stream.codec_context
    return {
        "sample_rate": context.sample_rate or None,
        "channels": context.layout.nb_channels or None,
        "channel_layout": _text(context.layout.name, MAX_TAG_NAME) or None,
    }


def _rotation(container: InputContainer, film: VideoStream) -> int:
    """Read the display matrix from the first picture; PyAV shows it nowhere else."""
    with contextlib.suppress(av.error.FFmpegError, OSError, StopIteration, IndexError):
        return upright(next(container.decode(film))).degrees
    return 0


def _chapters(container: InputContainer) -> list[dict[str, Any]]:
    try:
        told = container.chapters()[:MAX_CHAPTERS]
    except (UnicodeDecodeError, ValueError):
        return []
    chapters = []
    for chapter in told:
        unit = chapter["time_base"] or 0
        start, end = float(chapter["start"] * unit), float(chapter["end"] * unit)
        title = _text(chapter["metadata"].get("title", ""), MAX_TITLE)
        sane = math.isfinite(start) and math.isfinite(end) and 0 <= start <= end
        if sane:
            times = {"start_seconds": round(start, 6), "end_seconds": round(end, 6)}
            chapters.append({"title": title or None, **times})
    return chapters


def _positive(ticks: int | None, unit: Fraction | float | None) -> float | None:
    """Turn ticks into seconds; unknown, zero, negative and endless become None."""
    if ticks is None or unit is None or ticks <= 0:
        return None
    seconds = float(ticks * unit)
    return round(seconds, 6) if math.isfinite(seconds) and seconds > 0 else None


def _rate(rate: Fraction | None) -> float | None:
    return round(float(rate), 3) if rate and 0 < rate <= MAX_RATE else None


def _tags(metadata: Mapping[str, str]) -> dict[str, str]:
    """Keep a bounded number of tags of bounded length; JSON and Postgres take no NUL."""
    kept = list(metadata.items())[:MAX_TAGS]
    return {_text(key, MAX_TAG_NAME): _text(value, MAX_TAG_TEXT) for key, value in kept}


def _text(text: str, limit: int) -> str:
    sound = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c for c in sound if c >= " " or c in "\n\t").strip()[:limit]
