"""Plain text, Markdown and separated values, whatever their encoding."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from mediaq.media.child import writing
from mediaq.media.child.document.bounds import Bounds
from mediaq.media.child.document.extract import Extract, Part
from mediaq.media.child.refusal import Refusal

SEPARATORS = (",", ";", "\t", "|")
MAX_FIELD = 1_000_000
# A UTF-8 letter takes four bytes at most.
BYTES_PER_CHAR = 4
SAMPLE = 256 * 1024


def decode(path: str, name: str, bounds: Bounds) -> tuple[str, str, bool]:
    """Read text and name its encoding; True when it was cut at the bound."""
    most = bounds.text_chars * BYTES_PER_CHAR
    with Path(path).open("rb") as file:
        data = file.read(most + 1)
    cut = len(data) > most
    data = data[:most]
    told = writing.encoding(data, whole=not cut)
    if told is None:
        msg = f"{name} is no text that can be read"
        raise Refusal(msg)
    if told == "unknown-8bit":
        told = _guess(data)
    return data.decode(told, "replace").removeprefix("\ufeff"), told, cut


def read_plain(path: str, name: str, bounds: Bounds) -> Extract:
    """Read plain text or Markdown as it stands."""
    extract = Extract("part")
    text, encoding, cut = decode(path, name, bounds)
    extract.parts.append(Part(1, text))
    extract.facts["encoding"] = encoding
    if cut:
        extract.notes.append(_cut(bounds))
    return extract


def read_csv(path: str, name: str, bounds: Bounds) -> Extract:
    """Read separated values; the text is kept as it stands."""
    extract = read_plain(path, name, bounds)
    text = extract.parts[0].text
    separator = separator_of(text)
    csv.field_size_limit(MAX_FIELD)
    count = columns = 0
    header: list[str] = []
    try:
        for row in csv.reader(io.StringIO(text), delimiter=separator):
            if not any(row):
                continue
            header = header or row
            count += 1
            columns = max(columns, len(row))
    except csv.Error:
        extract.notes.append(f"The table is damaged after row {count}.")
    if header:
        extract.table("the file", [header])
        extract.tables[-1].rows, extract.tables[-1].columns = count, columns
    extract.facts["separator"] = separator
    return extract


def separator_of(text: str) -> str:
    """Choose the separator that parts the first lines into the most fields, all alike."""
    lines = text.splitlines()[:50]
    best, most = ",", (0.0, 0)
    for separator in SEPARATORS:
        try:
            counts = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        except csv.Error:
            continue
        if not counts or max(counts) == 1:
            continue
        usual = max(set(counts), key=counts.count)
        most, best = max((most, best), ((counts.count(usual) / len(counts), usual), separator))
    return best


def _guess(data: bytes) -> str:
    """Guess an encoding of one byte a letter, or of several as in East Asia."""
    from charset_normalizer import from_bytes

    # What is left over at the end of the sample is half a letter at most.
    best = from_bytes(data[:SAMPLE]).best()
    return best.encoding if best else "cp1252"


def _cut(bounds: Bounds) -> str:
    return f"The text is longer than {bounds.text_chars:,} characters, the limit, and was cut."
