"""``mediaq cancel``."""

from __future__ import annotations

from mediaq.cli import selection

command = selection.command(
    "cancel",
    "cancelled",
    ("pending", "processing"),
    "Cancel requests that wait or run: those named, or all that a filter finds.",
)
