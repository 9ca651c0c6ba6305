"""What is measured of a sound, against signals whose measures are known, and against ffmpeg."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from mediaq.errors import Rejected
from mediaq.media.child.columns import MOST, Columns
from mediaq.media.child.spans import Spans
from mediaq.media.ffmpeg import find_ffmpeg
from mediaq.media.local import LocalMedia
from mediaq.steps.audio_analysis import AudioAnalysis, Heard

RATE = 48_000
SPEAK = Path(__file__).parents[2] / "speech.py"

Hear = Callable[..., Awaitable[Heard]]


def wav(path: Path, samples: np.ndarray[Any, Any], rate: int = RATE, **lies: int) -> Path:
    """Write samples, one row a channel, as 16 bit, or as 32 bit float when they are float32."""
    rows = np.atleast_2d(samples)
    told = {"channels": len(rows), "rate": rate} | lies
    is_float = rows.dtype == np.float32
    data = (rows if is_float else np.clip(rows * 32768, -32768, 32767).astype("<i2")).T.tobytes()
    width = 4 if is_float else 2
    form = struct.pack(
        "<HHIIHH",
        3 if is_float else 1,
        told["channels"],
        told["rate"],
        min(told["rate"] * told["channels"] * width, 2**32 - 1),
        told["channels"] * width & 0xFFFF,
        width * 8,
    )
    size = told.get("data_size", len(data))
    head = b"RIFF" + struct.pack("<I", min(size + 36, 2**32 - 1)) + b"WAVEfmt \x10\0\0\0"
    path.write_bytes(head + form + b"data" + struct.pack("<I", size) + data)
    return path


def run(command: list[str]) -> str:
    """Run a program and give what it said."""
    return subprocess.run(command, capture_output=True, check=True, text=True).stderr


def sine(seconds: float, dbfs: float = -23, hertz: float = 1000, rate: int = RATE) -> Any:
    """Make a sine whose peak is at ``dbfs``."""
    return 10 ** (dbfs / 20) * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


@pytest.fixture
def hear(media: LocalMedia, tmp_path: Path) -> Hear:
    """Measure a file; pictures and samples go below the test's folder."""

    async def heard(path: Path, *, pictures: bool = False, samples: str | None = None) -> Heard:
        return await media.ask(
            "audio_analysis",
            path,
            Heard,
            title=path.name,
            into=str(tmp_path),
            keep_samples=samples,
            pictures=pictures,
        )

    return heard


async def analysed(hear: Hear, path: Path) -> AudioAnalysis:
    return (await hear(path)).analysis


# Loudness


async def test_loudness_is_that_of_the_ebus_first_test_signals(hear: Hear, tmp_path: Path) -> None:
    """EBU Tech 3341, cases 1 and 2: a stereo sine of -23 and of -33 dBFS."""
    for dbfs in (-23, -33):
        found = await analysed(hear, wav(tmp_path / "a.wav", np.stack([sine(20, dbfs)] * 2)))
        assert found.loudness.integrated_lufs == pytest.approx(dbfs, abs=0.1)
        assert found.loudness.max_short_term_lufs == pytest.approx(dbfs, abs=0.1)
        assert found.loudness.range_lu == pytest.approx(0, abs=0.1)


async def test_quiet_parts_are_gated(hear: Hear, tmp_path: Path) -> None:
    """EBU Tech 3341, case 3: 10 s at -36, a minute at -23, 10 s at -36 dBFS are -23 LUFS."""
    parts = np.concatenate([sine(10, -36), sine(60, -23), sine(10, -36)])
    found = await analysed(hear, wav(tmp_path / "a.wav", np.stack([parts] * 2)))
    assert found.loudness.integrated_lufs == pytest.approx(-23, abs=0.1)


async def test_a_peak_between_samples_is_found(hear: Hear, tmp_path: Path) -> None:
    """EBU Tech 3341, case 16: a quarter of the rate at 45 degrees peaks 3 dB above its samples."""
    turn = np.arange(RATE * 5) / 4 + 1 / 8
    # A sudden begin would overshoot.
    swell = np.minimum(1, np.minimum(turn, turn[::-1]) * 4 / RATE)
    found = await analysed(hear, wav(tmp_path / "a.wav", swell * 0.5 * np.sin(2 * np.pi * turn)))
    assert found.loudness.true_peak_dbtp == pytest.approx(-6.0, abs=0.3)


async def test_the_numbers_are_ffmpegs_own(hear: Hear, tmp_path: Path) -> None:
    dice = np.random.default_rng(1)
    swell = 10 ** ((-30 + 20 * np.sin(np.arange(RATE * 30) / RATE / 3)) / 20)
    path = wav(tmp_path / "noise.wav", dice.uniform(-1, 1, (2, RATE * 30)) * swell)
    measure = ["-i", str(path), "-af", "ebur128=peak=true", "-f", "null", "-"]
    said = run([str(find_ffmpeg().ffmpeg), "-nostdin", *measure]).rpartition("Summary:")[2]
    theirs = [float(re.search(rf"{key}:\s+(-?[\d.]+) L?", said)[1]) for key in ("I", "LRA", "Peak")]  # type: ignore[index]
    ours = (await analysed(hear, path)).loudness
    assert ours.integrated_lufs == pytest.approx(theirs[0], abs=0.1)
    assert ours.range_lu == pytest.approx(theirs[1], abs=0.2)
    assert ours.true_peak_dbtp == pytest.approx(theirs[2], abs=0.2)


# Silence, clipping, speech


async def test_silences_are_told_with_their_times(hear: Hear, tmp_path: Path) -> None:
    still = np.zeros(RATE * 2)
    samples = np.concatenate([sine(1), still, sine(1), still[: RATE // 4], sine(1)])
    # Silence is that of all channels; this one is loud on the right only.
    found = await analysed(hear, wav(tmp_path / "a.wav", np.stack([samples * 0, samples])))
    assert [(span.start, span.end) for span in found.silence.spans] == [(1.0, 3.0)]
    assert found.silence.seconds == 2.0
    assert found.silence.share == pytest.approx(2 / 5.25, abs=0.001)


async def test_sound_in_opposite_phase_is_not_silence(hear: Hear, tmp_path: Path) -> None:
    found = await analysed(hear, wav(tmp_path / "a.wav", np.stack([sine(2), -sine(2)])))
    assert not found.silence.spans


async def test_nothing_but_silence_has_no_loudness_and_no_speech(
    hear: Hear, tmp_path: Path
) -> None:
    found = await analysed(hear, wav(tmp_path / "a.wav", np.zeros(RATE * 3)))
    assert set(found.loudness.model_dump().values()) == {None}
    assert found.silence.share == 1.0
    assert found.speech is not None
    assert found.speech.seconds == 0.0


async def test_clipping_is_counted_where_samples_stay_at_full_scale(
    hear: Hear, tmp_path: Path
) -> None:
    loud = await analysed(hear, wav(tmp_path / "a.wav", sine(1, dbfs=6, hertz=100)))
    assert loud.clipping.events == 200
    assert loud.clipping.share == pytest.approx(2 / 3, abs=0.01)
    full = await analysed(hear, wav(tmp_path / "b.wav", sine(1, dbfs=-0.1, hertz=100)))
    assert full.clipping.events == 0


async def test_speech_is_told_from_noise_and_tones(hear: Hear, tmp_path: Path) -> None:
    spoken = tmp_path / "spoken.wav"
    text = "Two roads diverged in a yellow wood, and sorry I could not travel both."
    run([sys.executable, str(SPEAK), "en-us", str(spoken), text])
    with av.open(str(spoken)) as file:
        voice = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)]) / 32768
        rate = file.streams.audio[0].rate
    noise = np.random.default_rng(2).uniform(-0.05, 0.05, rate * 4)
    tone = sine(4, -20, 440, rate)
    path = wav(tmp_path / "mix.wav", np.concatenate([tone, voice, noise]), rate)
    found = await analysed(hear, path)
    assert found.speech is not None
    assert found.speech.spans[0].start == pytest.approx(4, abs=0.4)
    assert found.speech.spans[-1].end == pytest.approx(4 + len(voice) / rate, abs=0.4)
    assert found.speech.seconds == pytest.approx(len(voice) / rate, rel=0.25)


async def test_the_samples_for_a_speech_model_are_16_khz_mono(hear: Hear, tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", np.stack([sine(2, -6, 440), np.zeros(RATE * 2)]))
    heard = await hear(path, samples="kept.s16")
    assert heard.samples == tmp_path / "kept.s16"
    samples = np.fromfile(heard.samples, "<i2") / 32768
    assert len(samples) == pytest.approx(32_000, abs=32)
    assert np.abs(samples[1000:-1000]).max() == pytest.approx(10 ** (-12 / 20), rel=0.02)
    spectrum = np.abs(np.fft.rfft(samples[:16_000]))
    assert spectrum.argmax() == 440


async def test_sound_that_begins_late_keeps_its_times(hear: Hear, tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as out:
        film = out.add_stream("mpeg4", rate=10)
        assert isinstance(film, av.VideoStream)
        film.width = film.height = 64
        sound = out.add_stream("pcm_s16le", rate=RATE, layout="mono")
        assert isinstance(sound, av.AudioStream)
        for number in range(50):
            frame = av.VideoFrame(64, 64, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            out.mux(film.encode(frame))
        out.mux(film.encode(None))
        both = np.concatenate([sine(1), np.zeros(RATE)])
        frame = av.AudioFrame.from_ndarray((both * 32767).astype("<i2")[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 2 * RATE, Fraction(1, RATE)
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    found = await analysed(hear, path)
    assert found.start_seconds == pytest.approx(2, abs=0.01)
    (silence,) = found.silence.spans
    assert (silence.start, silence.end) == pytest.approx((3, 4), abs=0.02)


# Pictures


async def test_pictures_show_what_is_loud_and_which_tone_it_has(hear: Hear, tmp_path: Path) -> None:
    samples = np.concatenate([sine(5, -6, 1000), np.zeros(RATE * 5)])
    waveform, spectrogram = (await hear(wav(tmp_path / "a.wav", samples), pictures=True)).pictures
    with Image.open(waveform.path) as picture:
        assert picture.size == (waveform.width, waveform.height) == (1280, 320)
        seen = np.asarray(picture.convert("RGB"), int)
    # The peaks' tone stands at -6 dB, half way up, in the first half only.
    blue = (seen[34:292, 56:1264, 2] > 120) & (seen[34:292, 56:1264, 0] < 80)
    assert blue[66:192, 50:550].mean() > 0.1
    assert not blue[:50].any()
    assert not blue[:, 700:].any()
    with Image.open(spectrogram.path) as picture:
        seen = np.asarray(picture.convert("L"), int)[34:292, 56:1264]
    brightest = seen[:, 50:550].mean(axis=1).argmax()
    hertz = 40 * (RATE / 2 / 40) ** (1 - brightest / 258)
    assert hertz == pytest.approx(1000, rel=0.1)
    assert seen[:, 700:].max() < 30


def test_columns_stay_bounded_and_even() -> None:
    columns = Columns(1, join=np.maximum)
    for begin in range(0, MOST * 5, 100):
        columns.add(np.arange(begin, begin + 100, dtype=np.float32)[:, None])
    rows = columns.rows()[:, 0]
    assert MOST <= len(rows) <= 2 * MOST
    assert rows.max() == (MOST * 5 - 1) // 100 * 100 + 99
    assert set(np.diff(rows[:-1])) == {4.0}


def test_spans_are_bridged_and_short_ones_left_out() -> None:
    spans = Spans(0.1, shortest=0.3, bridge=0.2)
    for letter in "..xxx.xxx....x....xxxx":
        spans.add(letter == "x")
    found = spans.result(2.2, 10)
    assert found["spans"] == [{"start": 10.2, "end": 10.9}, {"start": 11.8, "end": 12.2}]
    assert found["seconds"] == pytest.approx(1.1)


# What is broken or strange


@pytest.mark.parametrize("lie", [0, 2**32 - 1, 2**31])
async def test_a_header_that_lies_about_its_length_is_not_believed(
    hear: Hear, tmp_path: Path, lie: int
) -> None:
    found = await analysed(hear, wav(tmp_path / "a.wav", sine(1), data_size=lie))
    assert found.duration_seconds == 1.0


@pytest.mark.parametrize(
    ("lies", "sentence"),
    [
        ({"channels": 65_535}, "a.wav says that it has an impossible number of channels; 64 is"),
        ({"channels": 100}, "a.wav says that it has 100 channels; 64 is the limit"),
        ({"rate": 1}, "a.wav says that it has 1 samples a second; 1,000 to 768,000 are read"),
        ({"rate": 2**31 - 1}, "a.wav says that it has 2,147,483,647 samples a second"),
    ],
)
async def test_impossible_sound_is_refused_in_a_sentence(
    hear: Hear, tmp_path: Path, lies: dict[str, int], sentence: str
) -> None:
    with pytest.raises(Rejected, match=re.escape(sentence)):
        await hear(wav(tmp_path / "a.wav", sine(1), **lies))


async def test_sound_without_samples_is_refused(hear: Hear, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="nothing in it could be decoded"):
        await hear(wav(tmp_path / "a.wav", np.zeros(0)))


@pytest.mark.parametrize("channels", [3, 6, 7, 8, 9, 16, 64])
async def test_many_channels_are_heard(hear: Hear, tmp_path: Path, channels: int) -> None:
    rows = np.stack([sine(1, -20)] * channels)
    found = await analysed(hear, wav(tmp_path / "a.wav", rows))
    assert (found.channels, found.duration_seconds) == (channels, 1.0)
    assert found.loudness.true_peak_dbtp == pytest.approx(-20, abs=0.3)


async def test_numbers_that_are_none_do_no_harm(hear: Hear, tmp_path: Path) -> None:
    samples = np.array([np.nan, np.inf, -np.inf, 1e30, 0.5] * 10_000, np.float32)
    heard = await hear(wav(tmp_path / "a.wav", samples), pictures=True)
    assert heard.analysis.clipping.events > 0


@pytest.mark.parametrize(
    ("name", "codec", "form"),
    [
        ("a.mp3", "libmp3lame", "s16p"),
        ("a.m4a", "aac", "fltp"),
        ("a.flac", "flac", "s16"),
        ("a.ogg", "libopus", "flt"),
        ("a.wav", "pcm_u8", "u8"),
        ("a.aiff", "pcm_s24be", "s32"),
        ("a.au", "pcm_f64be", "dbl"),
    ],
)
async def test_every_sample_format_gives_the_same_loudness(
    hear: Hear, tmp_path: Path, name: str, codec: str, form: str
) -> None:
    path = encoded(tmp_path / name, codec, form, sine(4, -14))
    found = await analysed(hear, path)
    assert found.duration_seconds == pytest.approx(4, abs=0.1)
    # A sine in one channel is 3 dB below that in two.
    assert found.loudness.integrated_lufs == pytest.approx(-17, abs=0.5)


async def test_what_is_cut_off_is_heard_as_far_as_it_goes(hear: Hear, tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mp3", "libmp3lame", "s16p", sine(10, -14))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = await analysed(hear, path)
    assert found.duration_seconds == pytest.approx(5, abs=0.3)


async def test_sound_that_changes_in_the_middle_goes_on(hear: Hear, tmp_path: Path) -> None:
    first = encoded(tmp_path / "a.mp3", "libmp3lame", "s16p", sine(2, -14))
    second = encoded(tmp_path / "b.mp3", "libmp3lame", "s16p", sine(2, -14, rate=22_050), 22_050)
    both = tmp_path / "both.mp3"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    found = await analysed(hear, both)
    assert found.sample_rate == RATE
    assert found.duration_seconds == pytest.approx(4, abs=0.3)


def encoded(path: Path, codec: str, form: str, samples: Any, rate: int = RATE) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        to_codec = av.AudioResampler(form, "mono", rate)
        frame = av.AudioFrame.from_ndarray(samples.astype(np.float32)[None], "flt", "mono")
        frame.sample_rate = rate
        for ready in [*to_codec.resample(frame), *to_codec.resample(None)]:
            out.mux(stream.encode(ready))
        out.mux(stream.encode(None))
    return path
