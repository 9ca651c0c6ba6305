"""Time text and previews of a PDF of 100 pages beside poppler's programs; run by hand.

    python tests/bench/media/documents.py [--rounds 5] [--pdf FILE]

Each figure is the median of wall-clock times, start of the processes included. mediaq reads the
text and draws the pages side by side, as its steps do; pdftotext and pdftoppm run one after the
other. pdftoppm is timed as it comes (150 dpi, PPM) and with pictures of mediaq's size and format.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from mediaq.media.child.document.previews import SIDE
from mediaq.media.local import LocalMedia
from mediaq.steps.previews import Pages
from mediaq.steps.text_analysis import Reading
from tests import papers

PAGES = 100
PICTURES = 25
OPTIONS = {
    "frames": None,
    "format": "jpeg",
    "thumb_width": 320,
    "timestamps": True,
    "columns": 4,
    "rows": 5,
}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--pdf", type=Path, help="a PDF of yours instead of the one made here")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pdf = given.pdf or book(folder / "book.pdf")
        print(f"{len(os.sched_getaffinity(0))} processors, {pdf.name}, median of {given.rounds}")
        ours = statistics.median(time_ours(pdf, folder) for _ in range(given.rounds))
        print(f"{'mediaq, text and previews':<48}{ours:8.2f} s")
        if not (shutil.which("pdftotext") and shutil.which("pdftoppm")):
            print("poppler's programs are not on PATH: left out")
            return
        same = ["-scale-to", str(SIDE), "-jpeg"]
        for label, options in (
            ("pdftotext, then pdftoppm as it comes", []),
            ("pdftotext, then pdftoppm -png", ["-png"]),
            (f"pdftotext, then pdftoppm -jpeg -scale-to {SIDE}", same),
        ):
            times = (time_poppler(pdf, folder, options) for _ in range(given.rounds))
            theirs = statistics.median(times)
            print(f"{label:<48}{theirs:8.2f} s  mediaq takes {ours / theirs:.0%} of it")


def book(path: Path) -> Path:
    """Write 100 pages of print, a picture on every fourth of them, and rules on all."""
    pages, pictures, rules = [], {}, []
    for number in range(PAGES):
        lines = [
            (60.0, 780.0 - 14 * i, f"{papers.PARAGRAPHS[(number + i) % 8]} {number}.{i}")
            for i in range(50)
        ]
        pages.append(lines)
        rules.append(
            "".join(f"0.5 w 60 {776 - 14 * i} m 540 {776 - 14 * i} l S\n" for i in range(50))
        )
        if number % (PAGES // PICTURES) == 0:
            picture = Image.effect_noise((1240, 1754), 40).convert("RGB")
            ImageDraw.Draw(picture).ellipse((200, 300, 1000, 1500), fill=(240, 230, number * 2))
            pictures[number] = picture
    return papers.pdf(path, pages, extra=rules, pictures=pictures)


def time_ours(pdf: Path, folder: Path) -> float:
    async def both() -> None:
        media = LocalMedia()
        (folder / "text").mkdir(exist_ok=True)
        text = media.ask(
            "document_text", pdf, Reading, title=pdf.name, into=str(folder / "text"), form="pdf"
        )
        with tempfile.TemporaryDirectory() as into:
            pages = media.ask(
                "previews", pdf, Pages, title=pdf.name, into=into, form="pdf", options=OPTIONS
            )
            read, drawn = await asyncio.gather(text, pages)
        assert len(read.parts) == len(drawn.pages)

    begin = time.perf_counter()
    asyncio.run(both())
    return time.perf_counter() - begin


def time_poppler(pdf: Path, folder: Path, options: list[str]) -> float:
    begin = time.perf_counter()
    run(["pdftotext", str(pdf), str(folder / "text.txt")])
    with tempfile.TemporaryDirectory() as into:
        run(["pdftoppm", *options, str(pdf), f"{into}/page"])
        return time.perf_counter() - begin


def run(command: list[str]) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
