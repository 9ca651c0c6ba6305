"""Opening a foreign file so that it can name no other file and no address."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import av
import av.error
from av.stream import Disposition

from mediaq.media.child import extent
from mediaq.media.child.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

MICROSECONDS = 1_000_000

# Demuxers that read one file and decode what stands in it. Playlists (hls, dash, concat, sdp),
# picture sequences (image2) and devices are left out: they open what the file tells them to.
DEMUXERS = (
    "3g2,3gp,aac,ac3,aiff,amr,ape,apng,asf,au,av1,avi,avr,caf,dts,dtshd,dv,eac3,flac,flv,gif,"
    "gxf,h261,h263,h264,hevc,ivf,m4a,m4v,matroska,mj2,mjpeg,mlp,mov,mp3,mp4,mpc,mpc8,mpeg,"
    "mpegts,mpegvideo,mxf,nut,obu,ogg,rm,smk,tta,truehd,vc1,voc,vvc,w64,wav,webm,wtv,wv,"
    "yuv4mpegpipe"
)


# Codecs of pictures; beside a stream of another one theirs is no film.
STILLS = frozenset({"bmp", "gif", "jpegls", "mjpeg", "png", "tiff", "webp"})


def open_media(path: str, name: str) -> InputContainer:
    """Open ``path`` with media demuxers and the file protocol only, or raise :class:`Refusal`.

    The ``file:`` prefix keeps leading dashes, colons and ``%03d`` in a name from meaning anything.
    """
    most = extent.current()
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": DEMUXERS,
        # One more than is allowed, so that it shows.
        "max_streams": str(most.streams + 1),
        "max_pixels": str(most.pixels),
    }
    try:
        container = av.open(f"file:{path}", options=options, metadata_errors="replace")
    except av.error.ArgumentError:
        # The answer to a format outside the whitelist.
        msg = f"{name} is not a media file that can be read: its format is not accepted"
        raise Refusal(msg) from None
    except (av.error.FFmpegError, OSError) as error:
        msg = f"{name} is not a media file that can be read: {reason(error)}"
        raise Refusal(msg) from None
    _check(container, name)
    return container


def _check(container: InputContainer, name: str) -> None:
    """Refuse what is more than the limits allow, as far as the container says so."""
    most = extent.current()
    why = most.too_many_streams(len(container.streams))
    why = why or most.too_long((container.duration or 0) / MICROSECONDS)
    # Of sound, mp4 counts every sample.
    why = why or most.too_many_frames(max((s.frames for s in container.streams.video), default=0))
    if why:
        msg = f"{name} {why}"
        raise Refusal(msg)


def packets_of(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Read the packets of a stream, with an empty one at the end."""
    # Where streams turned up on the way, PyAV stumbles over them after the last packet (its
    # issue 692).
    with contextlib.suppress(IndexError):
        yield from container.demux(stream)


def reason(error: Exception) -> str:
    """Say what libav reported, without the file name that PyAV adds."""
    return str(getattr(error, "strerror", None) or type(error).__name__)


def is_picture(stream: Stream) -> bool:
    """Tell a cover or thumbnail from a film."""
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def readable_films(container: InputContainer) -> list[VideoStream]:
    """Give the streams that hold a film, cover pictures left out, and that can be decoded."""
    # Without a decoder for it, PyAV gives a stream no codec context, whatever its types say.
    return [
        stream
        for stream in container.streams.video
        if not is_picture(stream) and getattr(stream.codec_context, "width", 0) > 0
    ]


def film_stream(container: InputContainer, name: str) -> VideoStream:
    """Choose the stream to show: one that moves, the default one, the largest; never a cover."""
    readable = readable_films(container)
    if not readable:
        raise no_film(container, name)
    film = max(readable, key=_preference)
    check_pixels(film, name)
    return film


def no_film(container: InputContainer, name: str) -> Refusal:
    """Say why there is no film to show."""
    if any(not is_picture(stream) for stream in container.streams.video):
        # libav forgets the size of pictures that are larger than it was allowed.
        return Refusal(
            f"{name} holds video that cannot be decoded: its codec or its size is unknown, or its"
            f" pictures have more than {extent.current().megapixels} megapixels, the limit"
            " (MEDIAQ_MAX_PIXELS)"
        )
    kinds = sorted(
        {
            "pictures" if is_picture(stream) else stream.type or "unknown"
            for stream in container.streams
        }
    )
    has = f"only {', '.join(kinds)}" if kinds else "no streams at all"
    return Refusal(f"{name} has no video stream, {has}")


def check_pixels(film: VideoStream, name: str) -> None:
    """Refuse a picture size that would need too much memory to decode."""
    most = extent.current()
    why = most.too_large(film.codec_context.width, film.codec_context.height)
    if why:
        msg = f"{name} {why}"
        raise Refusal(msg)
    film.codec_context.options = {"max_pixels": str(most.pixels)}


def _preference(stream: VideoStream) -> tuple[bool, bool, int, int]:
    context = stream.codec_context
    # A cover need not be declared as one.
    moves = stream.frames != 1 and context.name not in STILLS
    is_default = bool(stream.disposition & Disposition.default)
    return moves, is_default, context.width * context.height, -stream.index
