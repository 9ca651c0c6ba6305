"""Which module reads which form of text."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from mediaq.media.child.document.bounds import Bounds
from mediaq.media.child.document.extract import Extract

Read = Callable[[str, str, Bounds], Extract]

READERS = {
    "csv": ("plain", "read_csv"),
    "docx": ("docx", "read_docx"),
    "eml": ("mail", "read_eml"),
    "html": ("markup", "read_html"),
    "markdown": ("plain", "read_plain"),
    "pptx": ("pptx", "read_pptx"),
    "svg": ("svg", "read_svg"),
    "text": ("plain", "read_plain"),
    "xlsx": ("xlsx", "read_xlsx"),
}


def reader(form: str) -> Read:
    """Give the function that reads files of a form; it takes path, name and bounds."""
    module, name = READERS[form]
    found: Read = getattr(importlib.import_module(f"mediaq.media.child.document.{module}"), name)
    return found
