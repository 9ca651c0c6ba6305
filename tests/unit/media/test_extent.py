"""A file that is more than the operator allows is refused by a sentence that names the limit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import pytest

from mediaq.errors import Rejected
from mediaq.media.child.extent import Extent
from mediaq.media.local import LocalMedia
from mediaq.model import Options

Encode = Callable[..., Path]
Even = Callable[..., list[int]]


@pytest.mark.parametrize(
    ("extent", "says"),
    [
        (
            Extent(duration=3.6),
            r"^film\.mkv says that it lasts 4\.\d+ s; 3\.6 s is the limit \(MEDIAQ_MAX_DURATION\)$",
        ),
        (
            Extent(pixels=10_000),
            r"^film\.mkv has pictures of 192 x 96 pixels; 0\.01 megapixels is the limit \(MED",
        ),
        (
            Extent(streams=1),
            r"^film\.mkv holds more than 1 streams, the limit \(MEDIAQ_MAX_MEDIA_STREAMS\)$",
        ),
    ],
)
async def test_a_limit_refuses_and_names_itself(
    encode: Encode, even: Even, extent: Extent, says: str
) -> None:
    film = encode("film.mkv", stamps=even(100), sound_seconds=4)
    assert (await LocalMedia(30).probe(film)).width == 192
    with pytest.raises(Rejected, match=says):
        await LocalMedia(30, extent=extent).probe(film)


@pytest.mark.parametrize("name", ["film.mp4", "film.gif"])
async def test_frames_are_counted_where_the_file_tells_and_where_it_does_not(
    encode: Encode, even: Even, tmp_path: Path, name: str
) -> None:
    film = encode(name, stamps=even(20, 10), **({"codec": "gif"} if "gif" in name else {}))
    media = LocalMedia(30, extent=Extent(frames=19))

    async def nobody(_part: float, _doing: str) -> None: ...

    with pytest.raises(Rejected, match=r"more than 19 frames, the limit \(MEDIAQ_MAX_FRAMES\)$"):
        await media.contact_sheets(
            film,
            tmp_path / "made",
            options=Options(),
            probe=await media.probe(film),
            title=film.name,
            progress=nobody,
        )


async def test_samples_of_sound_are_no_frames(tmp_path: Path) -> None:
    song = tmp_path / "song.mov"
    with av.open(str(song), "w") as out:
        sound = out.add_stream("pcm_s16le", rate=48000, layout="mono")
        packet = av.Packet(bytes(48000 * 2))
        packet.stream, packet.pts, packet.dts = sound, 0, 0
        out.mux(packet)
    media = LocalMedia(30, extent=Extent(frames=100))
    assert (await media.probe(song)).audio_codec == "pcm_s16le"
