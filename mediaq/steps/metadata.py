"""What the file says of itself: container, codecs, duration, size, rotation, streams, tags."""

from __future__ import annotations

from mediaq.errors import Rejected
from mediaq.kit import Kit, Step, Work
from mediaq.model import Made, MadeResult, Probe


async def run(work: Work, kit: Kit) -> Made:
    """Probe the source; :class:`Rejected` when it is not the kind of media that was announced."""
    probe = await kit.media.probe(work.source)
    if work.kind.media_type == "audio":
        if probe.audio_codec is None:
            msg = f"{work.title} has no sound ({probe.container_name})"
            raise Rejected(msg, container=probe.container)
    elif probe.video_codec is None:
        kind = "audio only" if probe.audio_codec else "no pictures"
        msg = f"{work.title} has no video stream ({probe.container_name}, {kind})"
        raise Rejected(msg, container=probe.container)
    return Made(
        results=(
            MadeResult(
                result_type="metadata_extraction",
                content=describe(probe),
                content_json=probe.model_dump(mode="json", exclude_none=True),
            ),
        ),
    )


def describe(probe: Probe) -> str:
    """Say in one line what a probe found."""
    parts = [probe.container_name]
    if probe.duration_seconds is not None:
        parts.append(f"{probe.duration_seconds:.1f} s")
    if probe.width:
        parts.append(f"{probe.width}x{probe.height}")
    if probe.fps:
        parts.append(f"{probe.fps:g} fps")
    parts += [codec for codec in (probe.video_codec, probe.audio_codec) if codec]
    sound = next((one for one in probe.streams if one.kind == "audio"), None)
    if sound and sound.sample_rate and sound.channels:
        channels = {1: "mono", 2: "stereo"}.get(sound.channels, f"{sound.channels} channels")
        parts.append(f"{sound.sample_rate} Hz {channels}")
    if probe.rotation:
        parts.append(f"rotated by {probe.rotation} degrees")
    return ", ".join(parts)


STEP = Step("metadata", run, ("metadata_extraction",))
