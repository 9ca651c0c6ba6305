"""Time all that is measured of a sound beside its bare decode; run by hand.

    python tests/bench/media/audio.py [--minutes 60] [--rounds 3]

The sound is made once and kept in the system's folder for temporary files. Ours is the whole
work in its child process, speech detection and pictures included; the decode is PyAV's, every
frame and nothing else; ffmpeg measures loudness and silence and writes the 16 kHz samples.
CPU seconds are those of the process, its threads included: what one core would take.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mediaq.media.ffmpeg import find_ffmpeg

FOLDER = Path(tempfile.gettempdir()) / "mediaq-bench"
SPEAK = Path(__file__).parents[2] / "speech.py"
TEXT = "Two roads diverged in a yellow wood, and sorry I could not travel both. " * 8
DECODE = """
import sys, av
with av.open(sys.argv[1]) as file:
    for _ in file.decode(audio=0): pass
"""
OURS = """
import json, sys
from mediaq.media.child.hearing import audio_analysis
job = {"source": sys.argv[1], "name": "a", "into": sys.argv[2],
       "keep_samples": "kept.s16", "pictures": sys.argv[3] == "pictures"}
audio_analysis(job, lambda *_: None)
"""


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--minutes", type=int, default=60)
    asked.add_argument("--rounds", type=int, default=3)
    given = asked.parse_args()
    FOLDER.mkdir(exist_ok=True)
    ffmpeg = str(find_ffmpeg().ffmpeg)
    sound = make_sound(ffmpeg, given.minutes)
    print(f"{given.minutes} minutes of speech and music, AAC stereo; median of {given.rounds}")
    print(f"{'':<34}{'wall s':>9}{'CPU s':>9}{'x real time':>13}{'x decode':>10}{'peak MB':>9}")
    floor = 0.0
    for name, command in ways(ffmpeg, sound).items():
        wall, cpu, peak = time_of(command, given.rounds)
        floor = floor or cpu
        speed = given.minutes * 60 / cpu
        print(f"{name:<34}{wall:>9.1f}{cpu:>9.1f}{speed:>13.0f}{cpu / floor:>10.1f}{peak:>9.0f}")


def make_sound(ffmpeg: str, minutes: int) -> Path:
    sound = FOLDER / f"sound-{minutes}min.m4a"
    if sound.exists():
        return sound
    voice = FOLDER / "voice.wav"
    run([sys.executable, str(SPEAK), "en-us", str(voice), TEXT])
    chord = "aevalsrc='0.1*sin(880*PI*t)|0.1*sin(660*PI*t)*sin(t)':s=44100"
    mix = "[0:a]aresample=44100,apad=pad_dur=5,aloop=-1:2e9[v];[v][1:a]amix=duration=longest"
    inputs = ["-i", str(voice), "-f", "lavfi", "-i", chord, "-filter_complex", mix]
    out = ["-t", str(minutes * 60), "-ac", "2", "-c:a", "aac", "-b:a", "128k", str(sound)]
    run([ffmpeg, "-nostdin", "-v", "error", "-y", *inputs, *out])
    return sound


def ways(ffmpeg: str, sound: Path) -> dict[str, list[str]]:
    python = [sys.executable, "-c"]
    kept = str(FOLDER / "kept.s16")
    measure = "ebur128=peak=true:framelog=verbose,silencedetect=n=-50dB:d=0.5"
    to_samples = ["-ac", "1", "-ar", "16000", "-f", "s16le", kept]
    quiet = [ffmpeg, "-nostdin", "-v", "error", "-y"]
    filters = ["-af", measure, *to_samples]
    return {
        "bare decode (PyAV)": [*python, DECODE, str(sound)],
        "mediaq": [*python, OURS, str(sound), str(FOLDER), "plain"],
        "mediaq with pictures": [*python, OURS, str(sound), str(FOLDER), "pictures"],
        "ffmpeg, without speech": [*quiet, "-i", str(sound), *filters],
    }


def time_of(command: list[str], rounds: int) -> tuple[float, float, float]:
    """Give median wall and CPU seconds, and the greatest resident size in MB."""
    walls, cpus, peak = [], [], 0.0
    for _ in range(rounds):
        begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        measured = [sys.executable, "-c", MEASURE, *command]
        told = subprocess.run(measured, check=True, capture_output=True, text=True).stdout.split()
        walls.append(time.perf_counter() - begin)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        cpus.append(spent)
        peak = max(peak, float(told[-1]))
    return statistics.median(walls), statistics.median(cpus), peak


# The largest child of a process of its own: getrusage keeps the maximum of all there ever were.
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


def run(command: list[str]) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
