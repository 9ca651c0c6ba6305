"""The decoders' front door takes any bytes: an answer or a refusal, never anything else."""

from __future__ import annotations

import asyncio
import random
import struct
from pathlib import Path

import pytest

from mediaq.media import process
from tests.hostile import films, sounds
from tests.hostile.films import Make, film
from tests.unit.media.conftest import even

ROUNDS = 120
"""Changed files of each seed; all together take about twenty seconds."""

FOUND = {"webm": ("webm 1171",), "ts": ("bts 794",)}
"""Chances that once found something."""

SEEDS: dict[str, Make] = {
    "mp4": film("film.mp4", stamps=even(30), gop=10, faststart=True, sound_seconds=1),
    "mkv": film("film.mkv", stamps=even(30), gop=10, sound_seconds=1),
    "ts": film("film.ts", stamps=even(30), gop=10),
    "avi": film("film.avi", codec="mpeg4", stamps=even(30), gop=10),
    "flv": film("film.flv", codec="flv1", stamps=even(30), gop=10),
    "webm": films.in_codec("film.webm", "libvpx-vp9", "yuv420p"),
    "gif": films.gif(30),
    "mov": films.see_through,
    "wav": sounds.wav(),
}

BOOT = """
import gc, json, os, sys
from pathlib import Path
job = json.loads(sys.stdin.buffer.readline())
sys.path[:] = job["import"]
from mediaq.media.child import contact, entry, kind, probe
from mediaq.media.child.refusal import Refusal
sheet = {"columns": 2, "rows": 2, "frames": None, "interval_seconds": None, "exact": False,
         "thumb_width": 64, "format": "jpeg", "timestamps": True, "storyboard": None}
def work(job, answers):
    ends = {"answer": 0, "refusal": 0, "memory": 0}
    for path in sorted(Path(job["readable"][0]).iterdir()):
        answers.send(progress=0.5, doing=path.name)
        asked = {"facts": "", "chapters": [], "options": sheet}
        one = {**job, "source": str(path), "name": path.name, **asked}
        for do in (kind.kind, probe.probe, contact.contact_sheets):
            try:
                told = do({**one, "width": 64, "height": 48}, lambda part, doing: None)
                json.dumps(told, allow_nan=False)
                ends["answer"] += 1
            except Refusal as refusal:
                assert path.name in refusal.message, refusal.message
                ends["refusal"] += 1
            except MemoryError:
                ends["memory"] += 1
        # A child has one file; here containers that were left open would pile up.
        gc.unfreeze(); gc.collect()
    return ends
entry._work = work
entry.main(job)
"""


def mutant(content: bytes, chance: random.Random) -> bytes:
    """Change a file as decay, a careless writer or an attacker would."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 16, 64))):
        at = chance.randrange(len(changed))
        how = chance.randrange(7)
        if how == 0:
            changed[at] ^= 1 << chance.randrange(8)
        elif how == 1:
            changed[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif how == 2:
            number = chance.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(content)))
            changed[at : at + 4] = struct.pack(chance.choice("<>") + "I", number)
        elif how == 3:
            changed[at : at + chance.randrange(64)] = b""
        elif how == 4:
            changed[at:at] = changed[at : at + chance.randrange(64)]
        elif how == 5:
            changed[at : at + 16] = chance.randbytes(16)
        elif chance.random() < 0.1:
            del changed[at:]
        changed = changed or bytearray(1)
    return bytes(changed)


@pytest.mark.parametrize("form", SEEDS)
async def test_changed_files_are_answered_or_refused(tmp_path: Path, form: str) -> None:
    seed = SEEDS[form](tmp_path)
    content = seed.read_bytes()
    sources = tmp_path / "sources"
    sources.mkdir()
    # The head, where a front door looks first, is changed as often as the rest.
    chances = [*(f"{form} {number}" for number in range(ROUNDS)), *FOUND.get(form, ())]
    for number, name in enumerate(chances):
        chance = random.Random(name)  # noqa: S311 - the same bytes every time
        head = min(len(content), 2048)
        if int(name.split()[1]) % 2:
            bytes_ = mutant(content[:head], chance) + content[head:]
        else:
            bytes_ = mutant(content, chance)
        (sources / f"{number:04}{seed.suffix}").write_bytes(bytes_)
    at: list[str] = []

    async def tell(_part: float, doing: str) -> None:
        at.append(doing)

    async with asyncio.timeout(100):
        try:
            ends = await process.run(
                {
                    "readable": [str(sources)],
                    "into": str(tmp_path / "made"),
                },
                name="a changed file",
                source=sources,
                seconds=90,
                tell=tell,
                boot=BOOT,
            )
        except Exception as error:
            error.add_note(f"{at[-1:]} of {form}: {getattr(error, 'details', '')}")
            raise
    assert len(at) == len(chances)
    assert sum(ends.values()) == 3 * len(chances)
    assert ends["answer"] > 0
    assert ends["refusal"] > 0
