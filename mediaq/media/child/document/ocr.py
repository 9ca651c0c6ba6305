"""Text in pictures, by the recogniser PP-OCRv6 that comes with rapidocr."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediaq.media.child.crew import MAX_WORKERS, cpus
from mediaq.media.child.document.reading import Box, areas, find_gutter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

# Weights of rapidocr 3.10: Apache-2.0, by PaddlePaddle.
WEIGHTS = {
    "PP-OCRv6_det_small.onnx": "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
    "PP-OCRv6_rec_small.onnx": "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
    "ch_ppocr_mobile_v2.0_cls_mobile.onnx": (
        "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c"
    ),
}
# Lines are looked for in a picture of this size and read from the whole. On a tilted, noisy page of
# small print 960 finds 94 % of the words within 400 MB, 1280 finds 98 % within 520 MB.
DETECT_SIDE = 1280
READ_SIDE = 2400
# A line with a lower score is more often a pattern than letters.
LEAST_SCORE = 0.6
MIN_SIDE = 12


class Missing(Exception):
    """The recogniser is not installed, or is not the one that is known."""


class Recogniser:
    """The loaded models; about 500 MB while they read."""

    def __init__(self) -> None:
        spec = importlib.util.find_spec("rapidocr")
        if spec is None or spec.origin is None or importlib.util.find_spec("onnxruntime") is None:
            msg = "no text recogniser is installed; pip install 'mediaq[local]'"
            raise Missing(msg)
        models = Path(spec.origin).parent / "models"
        for name, digest in WEIGHTS.items():
            weights = models / name
            if not weights.is_file() or _sha256(weights) != digest:
                msg = (
                    f"the recogniser's weights {name} are not the known ones; install rapidocr 3.10"
                )
                raise Missing(msg)
        from rapidocr import RapidOCR

        threads = min(cpus(), MAX_WORKERS)
        self._engine: Any = RapidOCR(
            params={
                "Global.log_level": "error",
                "Global.max_side_len": READ_SIDE,
                "Det.limit_type": "max",
                "Det.limit_side_len": DETECT_SIDE,
                "Rec.rec_batch_num": 1,
                "EngineConfig.onnxruntime.intra_op_num_threads": threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )

    def read(self, picture: Image.Image) -> tuple[str, float | None]:
        """Read a picture's lines in reading order, and how sure the recogniser is, 0 to 1."""
        import numpy as np

        if min(picture.size) < MIN_SIDE:
            return "", None
        # Blue, green, red, as OpenCV has it.
        pixels = np.ascontiguousarray(np.asarray(picture.convert("RGB"))[:, :, ::-1])
        found = self._engine(pixels)
        if found.txts is None:
            return "", None
        lines = [
            (_box(corners), str(text), float(score))
            for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True)
            if float(score) >= LEAST_SCORE and str(text).strip()
        ]
        letters = sum(len(text) for _, text, _ in lines)
        if not letters:
            return "", None
        sure = sum(score * len(text) for _, text, score in lines) / letters
        return in_order([(box, text) for box, text, _ in lines]), sure


def in_order(lines: Sequence[tuple[Box, str]]) -> str:
    """Put lines in reading order: row by row, or column by column where a gutter parts them."""
    rows = sorted(lines, key=lambda one: (-one[0].row, one[0].left))
    boxes = [box for box, _ in rows]
    gutter = find_gutter(boxes)
    if gutter is None:
        return _rows(rows)
    parts = []
    for left, bottom, right, top in areas(boxes, gutter):
        inside = [
            (box, text)
            for box, text in rows
            if bottom <= box.row <= top and left <= (box.left + box.right) / 2 <= right
        ]
        parts.append(_rows(inside))
        # A line belongs to one part.
        rows = [one for one in rows if one not in inside]
    return "\n".join(part for part in parts if part)


def _rows(lines: Sequence[tuple[Box, str]]) -> str:
    """Join lines that stand side by side."""
    told: list[list[tuple[Box, str]]] = []
    for box, text in lines:
        last = told[-1][-1][0] if told else None
        if last is not None and abs(last.row - box.row) < (box.top - box.bottom) / 2:
            told[-1].append((box, text))
        else:
            told.append([(box, text)])
    return "\n".join(
        " ".join(text for _, text in sorted(row, key=lambda one: one[0].left)) for row in told
    )


def _box(corners: Sequence[Sequence[float]]) -> Box:
    across = [float(x) for x, _ in corners]
    down = [float(y) for _, y in corners]
    return Box(min(across), -max(down), max(across), -min(down))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
