"""Recordings whose headers lie."""

from __future__ import annotations

import struct
from pathlib import Path

from tests.hostile.films import Make, raw


def wav(
    *,
    channels: int = 1,
    rate: int = 8000,
    bits: int = 16,
    align: int | None = None,
    declared: int | None = None,
    content: bytes = bytes(16000),
    code: int = 1,
) -> Make:
    """A WAV whose header says what it is told to; ``declared`` is the length of its data."""
    align = channels * bits // 8 if align is None else align
    head = struct.pack(
        "<HHIIHH", code, channels, rate, min(rate * align, 0xFFFFFFFF), align & 0xFFFF, bits
    )
    size = len(content) if declared is None else declared
    riff = b"WAVEfmt " + struct.pack("<I", len(head)) + head
    riff += b"data" + struct.pack("<I", size) + content
    whole = b"RIFF" + struct.pack("<I", min(size + 36, 0xFFFFFFFF)) + riff
    return raw("sound.wav", whole)


def id3(size: int) -> Make:
    """An MP3 whose tag says that it is so many bytes long."""
    parts = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return raw("song.mp3", b"ID3\x04\x00\x00" + parts + b"\xff\xfb\x90\x00" + bytes(2000))


def flac_with_picture(folder: Path) -> Path:
    """A FLAC whose picture block says that it is 16 MiB long, in a file of 100 bytes."""
    info = b"\x00\x00\x00\x22" + bytes(34)
    path = folder / "song.flac"
    path.write_bytes(b"fLaC" + info + b"\x86\xff\xff\xff" + bytes(60))
    return path
