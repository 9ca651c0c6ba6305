"""What a file says of itself, and files that are no media or pretend to be."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest
from PIL import Image

from mediaq.errors import Rejected
from mediaq.media.local import LocalMedia
from mediaq.model import Options

Encode = Callable[..., Path]
Even = Callable[..., list[int]]

DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
    ' profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet>'
    '<Representation id="1" bandwidth="1"><BaseURL>{other}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>"
)
HOSTILE = [
    "-i.mp4",
    "%03d.mp4",
    "a:b.mp4",
    "concat:x|y.mp4",
    'it\'s "quoted".mp4',
    "two\nlines.mp4",
    "名前 имя 🎬.mp4",
    "https:__example.org.mp4",
    "\udcff\udcfe.mp4",
]


async def test_a_film_tells_its_streams_size_and_length(
    encode: Encode, even: Even, media: LocalMedia
) -> None:
    film = encode("film.mp4", stamps=even(250), sound_seconds=10, tags=(("title", "A film"),))
    probe = await media.probe(film)
    assert probe.container.startswith("mov,mp4")
    assert probe.duration_seconds == pytest.approx(10, abs=0.2)
    assert (probe.width, probe.height, probe.fps, probe.rotation) == (192, 96, 25, 0)
    assert (probe.video_codec, probe.audio_codec) == ("h264", "aac")
    assert probe.size_bytes == film.stat().st_size
    assert probe.tags["title"] == "A film"
    assert [stream.kind for stream in probe.streams] == ["video", "audio"]
    assert probe.streams[1].sample_rate == 16000
    json.dumps(probe.model_dump(), allow_nan=False)


@pytest.mark.parametrize(
    ("rotation", "size"), [(90, (96, 192)), (180, (192, 96)), (270, (96, 192))]
)
async def test_size_is_as_displayed(
    encode: Encode, even: Even, media: LocalMedia, rotation: int, size: tuple[int, int]
) -> None:
    probe = await media.probe(encode("turned.mp4", stamps=even(5), rotation=rotation))
    assert probe.rotation == rotation
    assert (probe.width, probe.height) == size


async def test_pixels_that_are_not_square_are_made_so(
    encode: Encode, even: Even, media: LocalMedia
) -> None:
    probe = await media.probe(encode("wide.mp4", stamps=even(5), pixel=Fraction(4, 3)))
    assert (probe.width, probe.height) == (256, 96)
    assert probe.streams[0].sample_aspect_ratio == "4:3"


async def test_a_cover_picture_is_no_film(media: LocalMedia, tmp_path: Path) -> None:
    song = _song_with_cover(tmp_path)
    probe = await media.probe(song)
    assert probe.width is None
    assert probe.video_codec is None
    assert probe.audio_codec is not None
    assert [stream.attached_picture for stream in probe.streams] == [False, True]


async def test_tags_are_bounded_and_clean(encode: Encode, even: Even, media: LocalMedia) -> None:
    tags = (("title", "x" * 5000), ("comment", "a\x01b\x7f"))
    probe = await media.probe(encode("tags.mkv", stamps=even(5), tags=tags))
    texts = {key.lower(): text for key, text in probe.tags.items()}
    assert len(texts["title"]) == 1024
    assert texts["comment"].startswith("ab")


async def test_tags_in_another_encoding_do_not_hurt(
    encode: Encode, even: Even, media: LocalMedia, tmp_path: Path
) -> None:
    film = encode("tags.mkv", stamps=even(5), tags=(("comment", "GRUESSE"),))
    odd = tmp_path / "odd.mkv"
    odd.write_bytes(film.read_bytes().replace(b"GRUESSE", b"GR\xfc\xdf\x80EE"))
    assert "EE" in str((await media.probe(odd)).tags)


@pytest.mark.parametrize("name", HOSTILE)
async def test_no_file_name_means_anything(
    encode: Encode, even: Even, media: LocalMedia, tmp_path: Path, name: str
) -> None:
    film = tmp_path / name
    film.write_bytes(encode("film.mp4", stamps=even(5)).read_bytes())
    assert (await media.probe(film)).width == 192


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"just some text\n" * 100,
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        bytes(range(256)) * 64,
        b"%PDF-1.7\n",
        b"\x00\x00\x00\x18ftypmp42" + bytes(2000),
    ],
)
async def test_what_is_no_media_is_rejected_by_its_name_alone(
    media: LocalMedia, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "thing.mp4"
    file.write_bytes(content)
    with pytest.raises(
        Rejected, match=r"^thing\.mp4 is not a media file that can be read: "
    ) as caught:
        await media.probe(file)
    assert str(tmp_path) not in caught.value.message + str(caught.value.details)


async def test_a_file_that_is_not_there_is_rejected(media: LocalMedia, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="No such file"):
        await media.probe(tmp_path / "missing.mp4")


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{other}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{other}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {name}\n",
        "ffconcat version 1.0\nfile '{other}'\n",
        DASH,
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    ],
)
async def test_a_playlist_in_disguise_shows_no_other_file(
    encode: Encode, even: Even, media: LocalMedia, tmp_path: Path, playlist: str
) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(encode("film.ts", stamps=even(50)).read_bytes())
    trick = tmp_path / "trick.mp4"
    trick.write_text(playlist.format(other=other, name=other.name))
    with pytest.raises(Rejected, match="is not a media file"):
        await media.probe(trick)


async def test_a_picture_too_large_to_decode_is_never_decoded(
    media: LocalMedia, tmp_path: Path
) -> None:
    huge = tmp_path / "huge.avi"
    with av.open(str(huge), "w") as out:
        stream = out.add_stream("mjpeg", rate=1)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 8200, 8200, "yuvj420p"
        frame = av.VideoFrame.from_image(Image.new("RGB", (8200, 8200)))
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with pytest.raises(Rejected):
        await media.contact_sheets(
            huge,
            tmp_path / "made",
            options=Options(),
            probe=(await media.probe(huge)),
            title="huge",
            progress=_nobody,
        )


async def _nobody(_part: float, _doing: str) -> None: ...


def _song_with_cover(folder: Path) -> Path:
    song = folder / "song.mp4"
    with av.open(str(song), "w") as out:
        sound = out.add_stream("aac", rate=16000)
        cover = out.add_stream("png", rate=1)
        assert isinstance(sound, av.AudioStream)
        assert isinstance(cover, av.VideoStream)
        cover.width = cover.height = 64
        cover.pix_fmt = "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        out.mux(cover.encode(av.VideoFrame.from_image(Image.new("RGB", (64, 64), "red"))))
        for i in range(16):
            frame = av.AudioFrame("fltp", "mono", 1024)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.sample_rate, frame.pts = 16000, i * 1024
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    return song
