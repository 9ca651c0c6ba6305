"""How much of a document is read: what is beyond a bound is left out and told, or refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of one document; each has a setting.

    ``pages`` are read for text, ``previews`` of them drawn, ``ocr_pages`` of those without text
    read by their looks; ``pixels`` is the largest picture that is decoded, ``expanded_bytes`` what
    an archive may hold unpacked, ``text_chars`` the longest text kept, ``page_seconds`` the
    longest that one page may take.
    """

    pages: int = 2000
    previews: int = 100
    ocr_pages: int = 50
    pixels: int = 100_000_000
    expanded_bytes: int = 512 * 1024 * 1024
    text_chars: int = 2_000_000
    page_seconds: float = 20.0
