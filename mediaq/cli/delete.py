"""``mediaq delete``."""

from __future__ import annotations

from mediaq.cli import selection

command = selection.command(
    "delete",
    "deleted",
    ("pending", "processing", "completed", "failed", "cancelled"),
    "Delete requests with all that was made of them: those named, or all that a filter finds.",
)
