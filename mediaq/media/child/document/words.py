"""Text as it is kept: whole characters, no control characters, lines without ends of blanks."""

from __future__ import annotations

import re

# JSON and PostgreSQL take no NUL; the others mean nothing in a text.
CONTROLS = dict.fromkeys([*range(9), 11, *range(14, 32), 127, 0xFEFF, 0xFFFE, 0xFFFF])
CONTROLS[12] = "\n"
BLANKS_AT_END = re.compile(r"[ \t\u00a0]+$", re.MULTILINE)
EMPTY_LINES = re.compile(r"\n{3,}")


def clean(text: str) -> str:
    """Make text fit to be stored and read."""
    sound = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    sound = sound.replace("\r\n", "\n").replace("\r", "\n").translate(CONTROLS)
    return EMPTY_LINES.sub("\n\n", BLANKS_AT_END.sub("", sound)).strip()


def line(text: str, limit: int = 1024) -> str:
    """Make one line of text, ``limit`` characters at most."""
    return " ".join(clean(text).split())[:limit]
